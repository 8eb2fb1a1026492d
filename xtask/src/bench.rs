//! placeholder
pub fn run(_root: &std::path::Path, _rest: &[&str]) -> Result<bool, std::io::Error> {
    Ok(true)
}
