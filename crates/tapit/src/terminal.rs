//! A terminal that is drawn on: no echo, keys at once, everything as before at the end.
//!
//! `commands::top` uses it. It knows the standard input alone; what is drawn goes through the `Screen`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::Notify;

/// Where the size cannot be told.
const LINES: usize = 24;

/// While it is there, keys are read one by one; dropping it puts the terminal back as it was.
pub struct Drawing {
    before: Termios,
    quit: Arc<Notify>,
    over: Arc<AtomicBool>,
}

impl Drawing {
    /// Takes another screen, hides the cursor, and cuts long lines rather than break them.
    pub const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
    pub const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

    pub fn begin() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        // Signals stay keys of the terminal: Ctrl-C must work also when nobody reads keys.
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // A read waits for a tenth of a second at most, so that the reader sees when it is over.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 1;
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        let drawing = Self { before, quit: Arc::default(), over: Arc::default() };
        let (quit, over) = (Arc::clone(&drawing.quit), Arc::clone(&drawing.over));
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || read_keys(&quit, &over))?;
        Ok(drawing)
    }

    /// Waits for the key q, or for the end of the terminal.
    pub async fn quit(&mut self) {
        self.quit.notified().await;
    }

    /// How many lines there are to draw on, now.
    pub fn lines(&self) -> usize {
        tcgetwinsize(stdin()).map(|size| usize::from(size.ws_row)).ok().filter(|lines| *lines > 0).unwrap_or(LINES)
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // A terminal that is gone needs no mending.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

fn read_keys(quit: &Notify, over: &AtomicBool) {
    let mut keys = [0u8; 64];
    while !over.load(Ordering::Relaxed) {
        match rustix::io::read(stdin(), &mut keys) {
            Ok(count) if keys[..count].iter().any(|key| matches!(key, b'q' | b'Q')) => break,
            Ok(_) | Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => break,
        }
    }
    quit.notify_one();
}
