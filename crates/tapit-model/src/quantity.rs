//! Quantities with their unit in the name, parsed from what users write.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a legal {what}; {legal}")]
pub struct QuantityError {
    pub what: &'static str,
    pub value: String,
    pub legal: &'static str,
}

/// Memory in MiB. One GB on the command line is 1,024 MiB, as on ECS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemoryMib(u64);

impl MemoryMib {
    const LEGAL: &'static str = "give GB between 0.016 and 1024, for example memory=0.5, memory=512M or memory=2G";
    const MIN: u64 = 16;
    const MAX: u64 = 1024 * 1024;

    pub const fn from_mib(mib: u64) -> Self {
        Self(mib)
    }

    /// Parses an instance's memory: GB with decimals, or with a unit: `512M`, `512MB`, `2G`, `2GB`.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        Self::parse_unbounded(text).filter(|m| (Self::MIN..=Self::MAX).contains(&m.0)).ok_or_else(|| QuantityError {
            what: "memory size",
            value: text.to_owned(),
            legal: Self::LEGAL,
        })
    }

    fn parse_unbounded(text: &str) -> Option<Self> {
        let upper = text.trim().to_ascii_uppercase();
        let upper = upper.strip_suffix("IB").or_else(|| upper.strip_suffix('B')).unwrap_or(&upper);
        let (digits, mib_per_unit) = match upper.as_bytes().last()? {
            b'M' => (&upper[..upper.len() - 1], 1),
            b'G' => (&upper[..upper.len() - 1], 1024),
            // A bare trailing `B` ("512B") would be bytes; nobody sizes a container in bytes.
            _ if text.trim().to_ascii_uppercase().ends_with('B') => return None,
            _ => (upper, 1024),
        };
        let mib = micro(digits)?.checked_mul(mib_per_unit)?.checked_add(500_000)? / 1_000_000;
        Some(Self(mib))
    }

    pub fn mib(self) -> u64 {
        self.0
    }

    pub fn bytes(self) -> u64 {
        self.0 * 1024 * 1024
    }

    /// In GB, as the command line writes it: 512 MiB is 0.5. Four decimals are enough to parse back to the same MiB.
    pub fn gb(self) -> f64 {
        (self.0 as f64 / 1024.0 * 10_000.0).round() / 10_000.0
    }
}

impl std::fmt::Display for MemoryMib {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.gb())
    }
}

/// Cpu in thousandths of a vCPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpuMillis(u64);

impl CpuMillis {
    const LEGAL: &'static str = "give vCPU between 0.01 and 256, for example cpu=0.25 or cpu=500m";

    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Parses vCPU with decimals (`0.25`) or thousandths (`500m`).
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let trimmed = text.trim();
        let millis = match trimmed.strip_suffix('m') {
            Some(digits) => micro(digits).filter(|m| m % 1_000_000 == 0).map(|m| m / 1_000_000),
            None => micro(trimmed).map(|m| (m + 500) / 1000),
        };
        millis.filter(|m| (10..=256_000).contains(m)).map(Self).ok_or_else(|| QuantityError {
            what: "cpu size",
            value: text.to_owned(),
            legal: Self::LEGAL,
        })
    }

    pub fn millis(self) -> u64 {
        self.0
    }

    pub fn vcpu(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl std::fmt::Display for CpuMillis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.vcpu())
    }
}

/// A duration in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub u64);

impl Seconds {
    /// Parses `30`, `30s`, `2m` or `1h`; the caller bounds it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (digits, factor) = match text.as_bytes().last()? {
            b's' => (&text[..text.len() - 1], 1),
            b'm' => (&text[..text.len() - 1], 60),
            b'h' => (&text[..text.len() - 1], 3600),
            _ => (text, 1),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }

    pub fn millis(self) -> u64 {
        self.0.saturating_mul(1000)
    }
}

/// As it is typed: in the largest unit that fits without a rest.
impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            seconds if seconds > 0 && seconds.is_multiple_of(3600) => write!(f, "{}h", seconds / 3600),
            seconds if seconds > 0 && seconds.is_multiple_of(60) => write!(f, "{}m", seconds / 60),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

/// A decimal number in millionths, without going through floating point; nine decimals at most.
fn micro(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    if text.ends_with('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let scaled: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add((scaled + 500) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_gb_or_with_a_unit() {
        for (text, mib) in [
            ("0.5", 512),
            ("2", 2048),
            ("2.0", 2048),
            ("512M", 512),
            ("512mb", 512),
            ("2G", 2048),
            ("2GB", 2048),
            (".25", 256),
            ("0.0625", 64),
            ("0.016", 16),
            ("64MiB", 64),
        ] {
            assert_eq!(MemoryMib::parse(text).map(MemoryMib::mib), Ok(mib), "{text}");
        }
        for bad in [
            "",
            "0",
            "-1",
            "abc",
            "1e3",
            "NaN",
            "inf",
            "5T",
            "512B",
            "1.",
            "99999999999999999999",
            "0.001",
            "2000",
            "1 G",
        ] {
            assert!(MemoryMib::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cpu_is_read_in_vcpu_or_thousandths() {
        for (text, millis) in [("0.25", 250), ("1", 1000), ("1.0", 1000), ("500m", 500), ("2.5", 2500)] {
            assert_eq!(CpuMillis::parse(text).map(CpuMillis::millis), Ok(millis), "{text}");
        }
        for bad in ["", "0", "m", "-1", "0.001", "1000", "x", "0.5.5", "1.5m"] {
            assert!(CpuMillis::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_written_as_they_are_typed() {
        assert_eq!(MemoryMib::from_mib(512).to_string(), "0.5");
        assert_eq!(MemoryMib::from_mib(2048).to_string(), "2");
        assert_eq!(CpuMillis::from_millis(250).to_string(), "0.25");
        for mib in 16..5000 {
            let size = MemoryMib::from_mib(mib);
            assert_eq!(MemoryMib::parse(&size.to_string()), Ok(size));
        }
    }
}
