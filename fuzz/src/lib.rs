//! Fuzz targets.
/// A target.
pub struct Target {
    /// Name.
    pub name: &'static str,
    /// Run.
    pub run: fn(&[u8]),
    /// Seeds.
    pub seeds: fn() -> Vec<Vec<u8>>,
}
/// All.
pub const TARGETS: &[Target] = &[];
/// By name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|t| t.name == name)
}
