//! What an app would find different on another engine.

use tapit_model::DifferenceView;

use super::table::{Cell, Table};

pub fn differences_table(differences: &[DifferenceView], colour: bool) -> String {
    let mut table = Table::new(&["PROCESS", "WHAT", "HERE", "THERE", "NOTE"]);
    for difference in differences {
        let DifferenceView { process, what, here, there, note } = difference;
        table.row([process, what, here, there, note].map(Cell::from).into());
    }
    table.render(colour)
}
