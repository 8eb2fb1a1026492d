//! AWS is several worlds that know nothing of each other. Which one a region is in says what its hosts and ARNs are.

/// A world of AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// In ARNs, after `arn:`.
    pub name: &'static str,
    /// What hosts end with.
    pub suffix: &'static str,
    /// Where IAM, which has no regions, is signed for; its host is `iam.HERE.SUFFIX`, or `iam.SUFFIX` in the public one.
    pub iam_region: &'static str,
    pub iam_host: &'static str,
}

const PUBLIC: Partition = Partition { name: "aws", suffix: "amazonaws.com", iam_region: "us-east-1", iam_host: "iam" };
const CHINA: Partition =
    Partition { name: "aws-cn", suffix: "amazonaws.com.cn", iam_region: "cn-north-1", iam_host: "iam.cn-north-1" };
const GOVERNMENT: Partition =
    Partition { name: "aws-us-gov", suffix: "amazonaws.com", iam_region: "us-gov-west-1", iam_host: "iam.us-gov" };
const EUROPEAN: Partition = Partition {
    name: "aws-eusc",
    suffix: "amazonaws.eu",
    iam_region: "eusc-de-east-1",
    iam_host: "iam.eusc-de-east-1",
};

/// The secret regions are not among them: nobody without access could have tried.
pub fn of(region: &str) -> Partition {
    match region.split_once('-').map(|(first, rest)| (first, rest.starts_with("gov-"))) {
        Some(("cn", _)) => CHINA,
        Some(("us", true)) => GOVERNMENT,
        Some(("eusc", _)) => EUROPEAN,
        Some(_) | None => PUBLIC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_in_one_partition() {
        let names = ["eu-central-1", "cn-northwest-1", "us-gov-east-1", "us-east-1", "eusc-de-east-1"];
        assert_eq!(names.map(|name| of(name).name), ["aws", "aws-cn", "aws-us-gov", "aws", "aws-eusc"]);
    }
}
