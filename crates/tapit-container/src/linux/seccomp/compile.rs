//! Turns a table of rules into a program of the kernel's packet-filter machine.
//!
//! The machine has forward jumps only. A list of comparisons would put the last call behind hundreds of them; here
//! neighbouring numbers with the same rule are one range, and the ranges are searched by halving, so that any call is
//! decided after about eight comparisons. (The kernel besides remembers per number what is always allowed.)
//!
//! Three answers: allowed, refused with an errno, and not known. A number that is in no rule is newer than the table, and
//! is answered as an older kernel would, so that libraries fall back to what they did before.

use std::collections::BTreeMap;

/// One instruction, laid out as the kernel's `sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub if_true: u8,
    pub if_false: u8,
    pub operand: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    Refuse(i32),
}

/// What an argument is compared with. Only the low half of a register is looked at: every argument that the profile
/// cares for is an `int` to the kernel, which ignores the upper half as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matches {
    Equal(u32),
    Different(u32),
    AnyBit(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    pub argument: u32,
    pub matches: Matches,
    pub verdict: Verdict,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    Always(Verdict),
    /// The first check that matches decides; else the last verdict.
    Checked(Vec<Check>, Verdict),
}

pub type Rules = BTreeMap<u32, Rule>;

#[cfg(target_arch = "x86_64")]
pub const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub const ARCHITECTURE: u32 = 0xc000_00b7;

/// Numbers from here on are those of the x32 ABI; nothing else has any there.
const X32: u32 = 0x4000_0000;

const LOAD: u16 = 0x20;
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;

// Where the kernel puts what the filter looks at.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

static UNKNOWN: Rule = Rule::Always(Verdict::Refuse(libc::ENOSYS));

pub fn compile(rules: &Rules) -> Vec<Instruction> {
    // A program of another ABI would be judged by numbers that mean other calls: it is ended.
    let mut program = vec![load(ARCH), jump_if(JUMP_EQUAL, ARCHITECTURE, 1, 0), answer(KILL_PROCESS), load(NUMBER)];
    program.extend(search(&ranges(rules)));
    program
}

/// Each first number with the rule that holds from there on.
fn ranges(rules: &Rules) -> Vec<(u32, &Rule)> {
    let mut ranges = Vec::new();
    let mut next = 0;
    for (number, rule) in rules.range(..X32) {
        if *number > next {
            extend(&mut ranges, next, &UNKNOWN);
        }
        extend(&mut ranges, *number, rule);
        next = number + 1;
    }
    extend(&mut ranges, next, &UNKNOWN);
    ranges
}

fn extend<'a>(ranges: &mut Vec<(u32, &'a Rule)>, number: u32, rule: &'a Rule) {
    if ranges.last().is_none_or(|(_, before)| *before != rule) {
        ranges.push((number, rule));
    }
}

fn search(ranges: &[(u32, &Rule)]) -> Vec<Instruction> {
    let (left, right) = match ranges {
        [] => return Vec::new(),
        [(_, rule)] => return decide(rule),
        several => several.split_at(several.len() / 2),
    };
    let pivot = right.first().map_or(0, |(number, _)| *number);
    let (below, above) = (search(left), search(right));
    // Conditional jumps reach 255 instructions far; for more, one that always jumps is put between.
    let mut program = match u8::try_from(below.len()) {
        Ok(over) => vec![jump_if(JUMP_AT_LEAST, pivot, over, 0)],
        Err(_) => {
            let over = Instruction { code: JUMP, if_true: 0, if_false: 0, operand: below.len() as u32 };
            vec![jump_if(JUMP_AT_LEAST, pivot, 0, 1), over]
        }
    };
    program.extend(below);
    program.extend(above);
    program
}

fn decide(rule: &Rule) -> Vec<Instruction> {
    let mut program = Vec::new();
    match rule {
        Rule::Always(verdict) => program.push(ending(*verdict)),
        Rule::Checked(checks, otherwise) => {
            for check in checks {
                program.push(load(argument(check.argument)));
                program.push(match check.matches {
                    Matches::Equal(value) => jump_if(JUMP_EQUAL, value, 0, 1),
                    Matches::Different(value) => jump_if(JUMP_EQUAL, value, 1, 0),
                    Matches::AnyBit(bits) => jump_if(JUMP_ANY_BIT, bits, 0, 1),
                });
                program.push(ending(check.verdict));
            }
            program.push(ending(*otherwise));
        }
    }
    program
}

/// The low half of an argument, on machines that store it first.
fn argument(nth: u32) -> u32 {
    ARGUMENTS + 8 * nth
}

fn ending(verdict: Verdict) -> Instruction {
    match verdict {
        Verdict::Allow => answer(ALLOW),
        Verdict::Refuse(errno) => answer(ERRNO | errno.unsigned_abs()),
    }
}

fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, if_true: 0, if_false: 0, operand: offset }
}

fn answer(value: u32) -> Instruction {
    Instruction { code: RETURN, if_true: 0, if_false: 0, operand: value }
}

fn jump_if(code: u16, operand: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, operand }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::profile;
    use super::*;

    /// The kernel's machine, as far as these programs use it. Answers also how many steps were taken.
    fn run(program: &[Instruction], arch: u32, number: u32, arguments: [u32; 6]) -> (u32, usize) {
        let (mut at, mut value) = (0, 0);
        for step in 1..=program.len() {
            let Instruction { code, if_true, if_false, operand } = program[at];
            at += 1;
            let mut branch = |condition: bool| at += usize::from(if condition { if_true } else { if_false });
            match code {
                LOAD => {
                    value = match operand {
                        NUMBER => number,
                        ARCH => arch,
                        offset => arguments[(offset - ARGUMENTS) as usize / 8],
                    };
                }
                RETURN => return (operand, step),
                JUMP => at += operand as usize,
                JUMP_EQUAL => branch(value == operand),
                JUMP_AT_LEAST => branch(value >= operand),
                JUMP_ANY_BIT => branch(value & operand != 0),
                other => panic!("no such instruction: {other:#x}"),
            }
        }
        panic!("the program does not end");
    }

    fn expected(rule: &Rule, arguments: [u32; 6]) -> u32 {
        let verdict = match rule {
            Rule::Always(verdict) => *verdict,
            Rule::Checked(checks, otherwise) => checks
                .iter()
                .find(|check| {
                    let value = arguments[check.argument as usize];
                    match check.matches {
                        Matches::Equal(wanted) => value == wanted,
                        Matches::Different(wanted) => value != wanted,
                        Matches::AnyBit(bits) => value & bits != 0,
                    }
                })
                .map_or(*otherwise, |check| check.verdict),
        };
        match verdict {
            Verdict::Allow => ALLOW,
            Verdict::Refuse(errno) => ERRNO | errno as u32,
        }
    }

    #[test]
    fn the_program_says_of_every_call_what_the_table_says() {
        let rules = profile::rules(&BTreeSet::new());
        let program = compile(&rules);
        let samples = [0, 1, 2, 8, 10, 16, 17, 38, 40, 0x20000, 0x5412, 0x541c, 0x1000_0000, 0x4000_0000, u32::MAX];
        let mut longest = 0;
        for number in (0..1024).chain([X32, X32 + 1, X32 + 165, u32::MAX]) {
            let rule = rules.get(&number).unwrap_or(&UNKNOWN);
            for first in samples {
                for second in samples {
                    let arguments = [first, second, second, 0, 0, 0];
                    let (verdict, steps) = run(&program, ARCHITECTURE, number, arguments);
                    assert_eq!(verdict, expected(rule, arguments), "{number} {arguments:x?}");
                    longest = longest.max(steps);
                }
            }
        }
        println!("{} instructions, at most {longest} of them for one call", program.len());
        assert!(longest < 60);
    }

    #[test]
    fn programs_of_another_abi_are_ended() {
        let program = compile(&profile::rules(&BTreeSet::new()));
        for arch in [0x4000_0003, 0x4000_0028, 0, u32::MAX] {
            assert_eq!(run(&program, arch, 0, [0; 6]).0, KILL_PROCESS, "{arch:#x}");
        }
    }

    #[test]
    fn branches_may_be_longer_than_a_conditional_jump_reaches() {
        let checks = |verdict| {
            let check = Check { argument: 0, matches: Matches::Equal(7), verdict };
            Rule::Checked(vec![check; 150], Verdict::Allow)
        };
        let rules: Rules = (0..8).map(|number| (number, checks(Verdict::Refuse(number as i32 + 1)))).collect();
        let program = compile(&rules);
        for number in 0..8 {
            assert_eq!(run(&program, ARCHITECTURE, number, [7; 6]).0, ERRNO | (number + 1));
            assert_eq!(run(&program, ARCHITECTURE, number, [8; 6]).0, ALLOW);
        }
        assert_eq!(run(&program, ARCHITECTURE, 8, [7; 6]).0, ERRNO | libc::ENOSYS as u32);
    }
}
