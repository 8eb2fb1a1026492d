//! The program by which a v2 kernel decides about devices: a handful of comparisons in the kernel's own code. Pure; loading
//! and attaching it is up to the caller.

/// Which nodes may be made. A node that was made is no more than a name: whether it may be opened is another question,
/// with the same answer for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// Of every device, by whoever has the capability for it.
    Any,
    None,
}

/// Character devices by number; `None` stands for every minor number.
const ALLOWED: [(u32, Option<u32>); 9] = [
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(1)), // console
    (5, Some(2)), // ptmx
    (136, None),  // terminals
];

/// One instruction, laid out as the kernel's `bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

// Registers: 0 is the answer, 1 points at the question: type and access in one word, major, minor.
const LOAD_WORD: u8 = 0x61;
const COPY: u8 = 0xbf;
const SET: u8 = 0xb7;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

const CHARACTER: i32 = 2;
const MAKE_NODE: i32 = 1;

/// Answers 1 to what is allowed.
pub(super) fn program(making: Making) -> Vec<Instruction> {
    let with =
        |code, to: u8, from: u8, offset, immediate| Instruction { code, registers: to | from << 4, offset, immediate };
    let refuse = [with(SET, 0, 0, 0, 0), with(EXIT, 0, 0, 0, 0)];
    let allow = [with(SET, 0, 0, 0, 1), with(EXIT, 0, 0, 0, 0)];
    let mut program = vec![
        with(LOAD_WORD, 2, 1, 0, 0),
        with(COPY, 3, 2, 0, 0),
        with(AND, 2, 0, 0, 0xffff),
        with(SHIFT_RIGHT, 3, 0, 0, 16),
        with(LOAD_WORD, 4, 1, 4, 0),
        with(LOAD_WORD, 5, 1, 8, 0),
    ];
    if making == Making::Any {
        // Nothing but making it: who asks for more is asked about opening.
        program.push(with(JUMP_UNLESS_EQUAL, 3, 0, 2, MAKE_NODE));
        program.extend(allow);
    }
    program.push(with(JUMP_IF_EQUAL, 2, 0, 2, CHARACTER));
    program.extend(refuse);
    program.extend([with(AND, 3, 0, 0, MAKE_NODE), with(JUMP_UNLESS_EQUAL, 3, 0, 2, MAKE_NODE)]);
    program.extend(refuse);
    for (major, minor) in ALLOWED {
        let beyond = if minor.is_some() { 3 } else { 2 };
        program.push(with(JUMP_UNLESS_EQUAL, 4, 0, beyond, major as i32));
        program.extend(minor.map(|minor| with(JUMP_UNLESS_EQUAL, 5, 0, 2, minor as i32)));
        program.extend(allow);
    }
    program.extend(refuse);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u32 = 1;
    const CHAR: u32 = 2;
    const MAKE: u32 = 1;
    const READ: u32 = 2;
    const WRITE: u32 = 4;

    /// What the kernel would do: a question is three words that register 1 points at.
    fn answer(making: Making, kind: u32, access: u32, (major, minor): (u32, u32)) -> i64 {
        let question = [kind | access << 16, major, minor];
        let program = program(making);
        let mut registers = [0i64; 6];
        let mut next = 0;
        loop {
            let instruction = program[next];
            let (to, from) = (usize::from(instruction.registers & 15), usize::from(instruction.registers >> 4));
            let immediate = i64::from(instruction.immediate);
            let mut jump = 0;
            match instruction.code {
                LOAD_WORD => {
                    registers[to] = i64::from(question[usize::try_from(instruction.offset / 4).expect("inside")])
                }
                COPY => registers[to] = registers[from],
                SET => registers[to] = immediate,
                AND => registers[to] &= immediate,
                SHIFT_RIGHT => registers[to] >>= immediate,
                JUMP_IF_EQUAL if registers[to] == immediate => jump = instruction.offset,
                JUMP_UNLESS_EQUAL if registers[to] != immediate => jump = instruction.offset,
                JUMP_IF_EQUAL | JUMP_UNLESS_EQUAL => {}
                EXIT => return registers[0],
                other => panic!("{other:#x} is no instruction"),
            }
            next += 1 + usize::try_from(jump).expect("forward");
        }
    }

    const NULL: (u32, u32) = (1, 3);
    const KMSG: (u32, u32) = (1, 11);
    const DISK: (u32, u32) = (8, 0);
    const TERMINAL: (u32, u32) = (136, 77);
    const TUNNEL: (u32, u32) = (10, 200);

    #[test]
    fn only_what_programs_expect_can_be_opened_whoever_asks() {
        for making in [Making::Any, Making::None] {
            for access in [READ, WRITE, READ | WRITE] {
                for device in [NULL, TERMINAL, (1, 9), (5, 2)] {
                    assert_eq!(answer(making, CHAR, access, device), 1, "{device:?}");
                }
                for device in [KMSG, TUNNEL, (1, 1), (5, 3), (137, 0), DISK] {
                    assert_eq!(answer(making, CHAR, access, device), 0, "{device:?}");
                }
                // Numbers of character devices mean something else here.
                for device in [NULL, DISK] {
                    assert_eq!(answer(making, BLOCK, access, device), 0, "{device:?}");
                }
            }
        }
    }

    #[test]
    fn any_node_can_be_made_with_the_capability_and_none_without() {
        for (kind, device) in [(CHAR, NULL), (CHAR, KMSG), (CHAR, TUNNEL), (BLOCK, DISK)] {
            assert_eq!(answer(Making::Any, kind, MAKE, device), 1, "{device:?}");
            assert_eq!(answer(Making::None, kind, MAKE, device), 0, "{device:?}");
            for more in [READ, WRITE] {
                assert_eq!(answer(Making::Any, kind, MAKE | more, device), 0, "{device:?}");
            }
        }
    }
}
