//! Text that others wrote, such as logs, events and names, as it may reach a terminal.

use std::fmt::{self, Display, Write};

/// Shows something without control characters, which would have a terminal obey whoever wrote
/// them (CVE-2021-25743); line breaks and tabs stay.
pub struct Printable<T>(pub T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Filter(f), "{}", self.0)
    }
}

struct Filter<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Filter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|it| {
            let harmless = !it.is_control() || matches!(it, '\n' | '\t');
            self.0.write_char(if harmless {
                it
            } else {
                char::REPLACEMENT_CHARACTER
            })
        })
    }
}
