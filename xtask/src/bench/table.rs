//! Figures of repeated measurements, and how they are printed.

/// What was measured of one subject, in one unit.
pub struct Row {
    pub what: String,
    pub values: Vec<f64>,
}

impl Row {
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), values: Vec::new() }
    }
}

/// The value below which this part of all values lies; `None` of none.
pub fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied()
}

/// Prints rows with their least, middle and ninth-tenth values, and the middle as a multiple of the first row's.
pub fn print(title: &str, unit: &str, rows: &[Row]) {
    println!("\n{title} ({unit})");
    println!("| {:<44} | {:>9} | {:>9} | {:>9} | {:>6} |", "", "min", "p50", "p90", "x");
    println!("| {:-<44} | {:->9}: | {:->8}: | {:->8}: | {:->5}: |", "", "", "", "", "");
    let first = rows.iter().find_map(|row| quantile(&row.values, 0.5));
    for row in rows {
        let cell = |part| quantile(&row.values, part).map_or("-".to_owned(), |value| format!("{value:.2}"));
        let middle = quantile(&row.values, 0.5);
        let ratio = middle.zip(first).filter(|(_, first)| *first > 0.0).map(|(middle, first)| middle / first);
        let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.1}"));
        println!("| {:<44} | {:>9} | {:>9} | {:>9} | {ratio:>6} |", row.what, cell(0.0), cell(0.5), cell(0.9));
    }
}

/// Prints single figures.
pub fn figures(title: &str, figures: &[(String, String)]) {
    println!("\n{title}");
    for (what, figure) in figures {
        println!("| {what:<56} | {figure:>16} |");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values = [5.0, 1.0, 9.0, 3.0, 7.0];
        let at = |part| quantile(&values, part);
        assert_eq!((at(0.0), at(0.5), at(0.9), at(1.0)), (Some(1.0), Some(5.0), Some(9.0), Some(9.0)));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
