//! Lines of several instances as one sequence: pure.

use std::iter;

use tapit_model::{InstanceId, LogLine, LogLineView, LogStream, ProcessName, Timestamp};

use crate::api::LogPage;

/// The most that one history holds; lines are at most 16 KiB long and mostly far shorter.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Of what is handed to a client at a time.
const PAGE_LINES: usize = 1000;

/// Whose lines they are.
pub struct Origin {
    pub process: ProcessName,
    pub instance: InstanceId,
}

/// The newest lines of all that was added, in order.
pub struct Merged {
    limit: usize,
    bytes: usize,
    /// Some were left out for their size, not for their number.
    shortened: bool,
    lines: Vec<Keyed>,
}

/// A line with the time that it is sorted by.
struct Keyed {
    at: Timestamp,
    view: LogLineView,
}

impl Merged {
    pub fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, shortened: false, lines: Vec::new() }
    }

    /// Adds one instance's lines. They keep their order, also where the clock was set back between them: such a line is
    /// sorted as if written together with the one before it.
    pub fn add(&mut self, origin: &Origin, lines: Vec<LogLine>) {
        let mut latest = Timestamp(i64::MIN);
        for line in lines {
            latest = latest.max(line.at);
            self.bytes += line.text.len();
            self.lines.push(Keyed { at: latest, view: view(origin, line) });
        }
        self.lines.sort_by_key(|line| line.at);
        self.bound();
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn bound(&mut self) {
        let mut drop = self.lines.len().saturating_sub(self.limit);
        let mut left = self.bytes - self.lines[..drop].iter().map(|line| line.view.text.len()).sum::<usize>();
        while left > MOST_BYTES {
            self.shortened = true;
            left -= self.lines[drop].view.text.len();
            drop += 1;
        }
        self.bytes = left;
        self.lines.drain(..drop);
    }

    fn into_views(self) -> Vec<LogLineView> {
        let remark = self.lines.first().filter(|_| self.shortened).map(|first| LogLineView {
            stream: LogStream::Tapit.as_str().to_owned(),
            text: format!("older lines are left out: all together have more than {} MiB", MOST_BYTES / 1024 / 1024),
            ..first.view.clone()
        });
        remark.into_iter().chain(self.lines.into_iter().map(|line| line.view)).collect()
    }
}

pub fn view(origin: &Origin, line: LogLine) -> LogLineView {
    LogLineView {
        at: line.at.to_string(),
        process: origin.process.to_string(),
        instance: origin.instance.to_string(),
        stream: line.stream.as_str().to_owned(),
        text: line.text,
    }
}

/// In pieces; the place where a reader goes on comes with the last one, so that no piece is counted as read before it is.
pub fn pages(merged: Merged, resume: Option<String>) -> impl Iterator<Item = LogPage> + Send {
    let mut lines = merged.into_views().into_iter();
    let mut resume = resume;
    iter::from_fn(move || {
        let lines_now: Vec<_> = lines.by_ref().take(PAGE_LINES).collect();
        if lines.len() > 0 {
            return Some(LogPage { lines: lines_now, resume: None });
        }
        let resume = resume.take();
        (resume.is_some() || !lines_now.is_empty()).then_some(LogPage { lines: lines_now, resume })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(id: &str) -> Origin {
        let process = id.split('.').next().expect("a process");
        Origin { process: ProcessName::parse(process).expect("legal"), instance: InstanceId::opaque(id) }
    }

    fn lines(list: &[(i64, &str)]) -> Vec<LogLine> {
        let line =
            |&(at, text): &(i64, &str)| LogLine { at: Timestamp(at), stream: LogStream::Stdout, text: text.to_owned() };
        list.iter().map(line).collect()
    }

    fn texts(merged: Merged) -> String {
        let all = merged.into_views().into_iter().map(|line| format!("{} {}", line.instance, line.text));
        all.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn lines_of_several_instances_are_merged_by_time() {
        let mut merged = Merged::new(10);
        merged.add(&origin("web.1"), lines(&[(1, "a"), (5, "b"), (9, "c")]));
        merged.add(&origin("api.1"), lines(&[(2, "x"), (5, "y"), (10, "z")]));
        assert_eq!(texts(merged), "web.1 a, api.1 x, web.1 b, api.1 y, web.1 c, api.1 z");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_reorder_one_instance() {
        let mut merged = Merged::new(10);
        merged.add(&origin("web.1"), lines(&[(10, "a"), (3, "b"), (4, "c"), (20, "d")]));
        merged.add(&origin("api.1"), lines(&[(5, "x"), (11, "y")]));
        assert_eq!(texts(merged), "api.1 x, web.1 a, web.1 b, web.1 c, api.1 y, web.1 d");
    }

    #[test]
    fn the_newest_of_all_are_kept() {
        let mut merged = Merged::new(3);
        merged.add(&origin("web.1"), lines(&[(1, "a"), (5, "b"), (9, "c")]));
        merged.add(&origin("api.1"), lines(&[(2, "x"), (6, "y")]));
        assert_eq!(texts(merged), "web.1 b, api.1 y, web.1 c");
        let mut none = Merged::new(0);
        none.add(&origin("web.1"), lines(&[(1, "a")]));
        assert_eq!(texts(none), "");
    }

    #[test]
    fn more_bytes_than_are_held_are_left_out_with_a_remark() {
        let long = "x".repeat(MOST_BYTES / 4);
        let mut merged = Merged::new(100);
        merged.add(&origin("web.1"), lines(&[(1, "first"), (2, &long), (3, &long), (4, &long), (5, &long)]));
        merged.add(&origin("api.1"), lines(&[(6, "last")]));
        let views = merged.into_views();
        assert_eq!(views.len(), 5, "a remark, three long ones, the last one");
        assert!(views[0].stream == "tapit" && views[0].text.contains("left out"), "{:?}", views[0]);
        assert_eq!(views[4].text, "last");
    }

    #[test]
    fn the_place_to_go_on_from_comes_after_the_last_line() {
        let check = |count: usize, resume: Option<&str>, expected: &[(usize, bool)]| {
            let mut merged = Merged::new(usize::MAX);
            let numbered: Vec<_> = (0..count).map(|n| (i64::try_from(n).expect("few"), "x")).collect();
            merged.add(&origin("web.1"), lines(&numbered));
            let pages = pages(merged, resume.map(str::to_owned));
            let found: Vec<_> = pages.map(|page| (page.lines.len(), page.resume.is_some())).collect();
            assert_eq!(found, expected, "{count} {resume:?}");
        };
        check(0, None, &[]);
        check(0, Some("r"), &[(0, true)]);
        check(2, None, &[(2, false)]);
        check(PAGE_LINES, Some("r"), &[(PAGE_LINES, true)]);
        check(PAGE_LINES + 1, Some("r"), &[(PAGE_LINES, false), (1, true)]);
    }
}
