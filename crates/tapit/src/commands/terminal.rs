//! This program's own terminal, while a command elsewhere uses it, or a password is typed.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tapit_model::WindowSize;

/// The size of the terminal that output goes to; a common one where it does not say.
pub fn size() -> WindowSize {
    let usual = WindowSize { columns: 80, rows: 24 };
    match tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => WindowSize { columns: size.ws_col, rows: size.ws_row },
        Ok(_) | Err(_) => usual,
    }
}

/// Every key goes through as it is, for as long as this lives. Dropping it, also while panicking, brings back what was.
pub struct Raw(Termios);

impl Raw {
    /// `None` where the standard input is no terminal after all.
    pub fn enter() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// What is typed is not shown, for as long as this lives; a line is still a line.
pub struct Unseen(Termios);

impl Unseen {
    /// `None` where the standard input is no terminal after all.
    pub fn enter() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        unseen.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(std::io::stdin(), OptionalActions::Now, &unseen).ok()?;
        Some(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
