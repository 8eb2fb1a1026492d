//! How far an image on its way is.

use tapit_model::{LayerState, LayerTransfer, Transfer, WindowSize};

use super::format::bytes;

/// Of a bar, where there is room for it.
const MAX_BAR: usize = 30;
const MIN_BAR: usize = 8;
/// Layer, state and figures beside the bar.
const BESIDE: usize = 52;

/// What is new, for a log: a line for each layer that is there now and was not before. Layers that were here from the
/// beginning share a line.
pub fn transfer_lines(before: &Transfer, now: &Transfer) -> Vec<String> {
    let was = |layer: &LayerTransfer| before.layers.iter().find(|other| other.layer == layer.layer).map(|l| l.state);
    let news: Vec<&LayerTransfer> = now.layers.iter().filter(|layer| was(layer) != Some(layer.state)).collect();
    let held = news.iter().filter(|layer| layer.state == LayerState::Held).count();
    let mut lines = Vec::new();
    match (held, now.layers.len()) {
        (0, _) => {}
        (1, _) => lines.push("1 layer is there already".to_owned()),
        (held, all) if held == all => lines.push(format!("all {held} layers are there already")),
        (held, _) => lines.push(format!("{held} layers are there already")),
    }
    let done = news.iter().filter(|layer| layer.state == LayerState::Done);
    lines.extend(done.map(|layer| format!("layer {} done, {}", layer.layer, bytes(layer.total.max(layer.done)))));
    lines
}

/// A line for each layer; where they are more than the rows, those that are through are counted together.
pub fn transfer_bars(now: &Transfer, window: WindowSize) -> Vec<String> {
    let columns = usize::from(window.columns);
    let rows = usize::from(window.rows).saturating_sub(2).max(1);
    if now.layers.len() <= rows {
        return now.layers.iter().map(|layer| line(layer, columns)).collect();
    }
    let moving: Vec<&LayerTransfer> = now.layers.iter().filter(|layer| !is_through(layer.state)).collect();
    let through = now.layers.len() - moving.len();
    let room = rows.saturating_sub(2);
    let mut lines: Vec<String> = moving.iter().take(room).map(|layer| line(layer, columns)).collect();
    let more = moving.len().saturating_sub(room);
    let more = if more > 0 { format!(", {more} more to come") } else { String::new() };
    lines.push(cut(format!("{through} of {} layers done{more}", now.layers.len()), columns));
    lines
}

fn is_through(state: LayerState) -> bool {
    match state {
        LayerState::Done | LayerState::Held => true,
        LayerState::Waiting | LayerState::Fetching | LayerState::Unpacking | LayerState::Pushing => false,
    }
}

fn line(layer: &LayerTransfer, columns: usize) -> String {
    let word = match layer.state {
        LayerState::Waiting => "waiting",
        LayerState::Fetching => "fetching",
        LayerState::Unpacking => "unpacking",
        LayerState::Pushing => "pushing",
        LayerState::Done => "done",
        LayerState::Held => "there already",
    };
    let figures = match layer.state {
        LayerState::Fetching | LayerState::Pushing if layer.total > 0 => {
            format!("{} of {}", bytes(layer.done), bytes(layer.total))
        }
        LayerState::Fetching | LayerState::Pushing => bytes(layer.done),
        LayerState::Waiting | LayerState::Unpacking | LayerState::Done if layer.total > 0 => bytes(layer.total),
        LayerState::Waiting | LayerState::Unpacking | LayerState::Done | LayerState::Held => String::new(),
    };
    let bar = match layer.state {
        LayerState::Fetching | LayerState::Pushing => bar(layer, columns),
        LayerState::Waiting | LayerState::Unpacking | LayerState::Done | LayerState::Held => String::new(),
    };
    let text = format!("{:12}  {word:13}  {bar}{figures}", layer.layer);
    cut(text.trim_end().to_owned(), columns)
}

/// Empty where there is no room for it, or nothing to compare with.
fn bar(layer: &LayerTransfer, columns: usize) -> String {
    let width = columns.saturating_sub(BESIDE).min(MAX_BAR);
    if width < MIN_BAR || layer.total == 0 {
        return String::new();
    }
    let part = layer.done.min(layer.total) as f64 / layer.total as f64;
    let full = (part * width as f64) as usize;
    format!("[{}{}]  ", "=".repeat(full), " ".repeat(width - full))
}

/// A line that is longer than the terminal would take two rows, and the next picture would stand below it.
fn cut(text: String, columns: usize) -> String {
    text.chars().take(columns.saturating_sub(1).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(layers: &[(LayerState, u64, u64)]) -> Transfer {
        let layer = |(number, (state, done, total)): (usize, &(LayerState, u64, u64))| LayerTransfer {
            layer: format!("{number:012x}"),
            state: *state,
            done: *done,
            total: *total,
        };
        Transfer { layers: layers.iter().enumerate().map(layer).collect() }
    }

    const WIDE: WindowSize = WindowSize { columns: 80, rows: 24 };

    #[test]
    fn a_bar_shows_each_layer_with_what_happens_to_it() {
        use LayerState::{Done, Fetching, Held, Pushing, Unpacking, Waiting};
        let now = transfer(&[
            (Held, 0, 10),
            (Done, 2_000_000, 2_000_000),
            (Unpacking, 5, 5_000_000),
            (Fetching, 15_000_000, 30_000_000),
            (Waiting, 0, 0),
            (Pushing, 500, 0),
        ]);
        let expected = "\
000000000000  there already
000000000001  done           2.0 MB
000000000002  unpacking      5.0 MB
000000000003  fetching       [==============              ]  15.0 MB of 30.0 MB
000000000004  waiting
000000000005  pushing        500 B";
        assert_eq!(transfer_bars(&now, WIDE).join("\n"), expected);
        let narrow = transfer_bars(&now, WindowSize { columns: 40, rows: 24 });
        assert_eq!(narrow[3], "000000000003  fetching       15.0 MB of");
        assert!(narrow.iter().all(|line| line.chars().count() < 40 || line.len() == 39), "{narrow:?}");
    }

    #[test]
    fn many_layers_do_not_overflow_the_terminal() {
        use LayerState::{Done, Fetching, Waiting};
        let mut layers = vec![(Done, 1, 1); 60];
        layers.extend([(Fetching, 1, 2); 3]);
        layers.extend([(Waiting, 0, 2); 40]);
        let lines = transfer_bars(&transfer(&layers), WindowSize { columns: 80, rows: 10 });
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[6], "60 of 103 layers done, 37 more to come");
        let done = transfer(&vec![(Done, 1, 1); 60]);
        assert_eq!(transfer_bars(&done, WindowSize { columns: 80, rows: 10 }), ["60 of 60 layers done"]);
        assert_eq!(transfer_bars(&done, WindowSize { columns: 0, rows: 0 }).len(), 1);
    }

    #[test]
    fn a_log_gets_one_line_for_each_layer_that_arrives() {
        use LayerState::{Done, Fetching, Held, Unpacking, Waiting};
        let stages = [
            transfer(&[]),
            transfer(&[(Held, 0, 10), (Held, 0, 10), (Waiting, 0, 3_000_000), (Waiting, 0, 4_000_000)]),
            transfer(&[(Held, 0, 10), (Held, 0, 10), (Fetching, 5, 3_000_000), (Unpacking, 0, 4_000_000)]),
            transfer(&[(Held, 0, 10), (Held, 0, 10), (Fetching, 6, 3_000_000), (Done, 4_000_000, 4_000_000)]),
            transfer(&[(Held, 0, 10), (Held, 0, 10), (Done, 3_000_000, 3_000_000), (Done, 4_000_000, 4_000_000)]),
        ];
        let lines: Vec<String> = stages.windows(2).flat_map(|pair| transfer_lines(&pair[0], &pair[1])).collect();
        let expected =
            ["2 layers are there already", "layer 000000000003 done, 4.0 MB", "layer 000000000002 done, 3.0 MB"];
        assert_eq!(lines, expected);
        let all = transfer(&[(Held, 0, 1), (Held, 0, 1)]);
        assert_eq!(transfer_lines(&transfer(&[]), &all), ["all 2 layers are there already"]);
    }
}
