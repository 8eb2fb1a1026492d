//! Aligned columns under a header, and pages of `key: value`.

use super::format::clean;

/// What a word's colour says, where there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tint {
    Plain,
    Good,
    Moving,
    Bad,
}

impl Tint {
    /// Of a status of a process or app, or a state of an instance.
    pub fn of(word: &str) -> Self {
        match word {
            "running" | "healthy" | "succeeded" => Tint::Good,
            "pending" | "updating" | "restarting" | "pulling" | "starting" | "draining" | "stopping" => Tint::Moving,
            "degraded" | "rolled_back" | "failed" | "unhealthy" => Tint::Bad,
            _ => Tint::Plain,
        }
    }

    fn code(self) -> Option<&'static str> {
        match self {
            Tint::Plain => None,
            Tint::Good => Some("32"),
            Tint::Moving => Some("33"),
            Tint::Bad => Some("31"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tint: Tint,
}

impl Cell {
    pub fn tinted(text: String, tint: Tint) -> Self {
        Self { text: clean(&text).replace('\t', " "), tint }
    }

    /// The text, coloured if asked for; the width of it without colour is the caller's business.
    fn paint(&self, colour: bool) -> String {
        match self.tint.code() {
            Some(code) if colour => format!("\x1b[{code}m{}\x1b[0m", self.text),
            Some(_) | None => self.text.clone(),
        }
    }
}

impl<T: std::fmt::Display> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::tinted(text.to_string(), Tint::Plain)
    }
}

#[derive(Debug)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// One cell per column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub fn render(&self, colour: bool) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
            cells.chain([self.header[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let header: Vec<Cell> = self.header.iter().map(Cell::from).collect();
        let mut text = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let pad = width.saturating_sub(cell.text.chars().count()) + 2;
                line += &cell.paint(colour);
                line.extend(std::iter::repeat_n(' ', pad));
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// A block of `key: value` lines.
#[derive(Debug, Default)]
pub struct Block {
    lines: Vec<(&'static str, Cell)>,
}

impl Block {
    pub fn line(&mut self, key: &'static str, value: impl Into<Cell>) {
        self.lines.push((key, value.into()));
    }

    /// Left out when there is nothing to say.
    pub fn maybe(&mut self, key: &'static str, value: Option<impl Into<Cell>>) {
        if let Some(value) = value {
            self.line(key, value);
        }
    }

    pub fn render(&self, colour: bool) -> String {
        let width = self.lines.iter().map(|(key, _)| key.len() + 1).max().unwrap_or(0);
        let line = |(key, cell): &(&str, Cell)| {
            let key = format!("{key}:");
            format!("{key:width$}  {}", cell.paint(colour)).trim_end().to_owned() + "\n"
        };
        self.lines.iter().map(line).collect()
    }
}
