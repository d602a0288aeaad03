//! Which texts show anything. What people see as nothing is treated as nothing: a platform refuses it, or shows an
//! empty bubble.

/// True if a reader sees something of it: not only white space, controls and characters without a shape.
pub(super) fn is_visible(text: &str) -> bool {
    text.chars().any(|c| !c.is_whitespace() && !c.is_control() && !is_shapeless(c))
}

/// Characters that show nothing alone: joiners, selectors, fillers, marks of direction, tags.
///
/// Source: Unicode, `Default_Ignorable_Code_Point`, and the two blanks U+2800 and U+3164.
const fn is_shapeless(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{206F}' | '\u{2800}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
        || turns(c)
}

/// Marks that turn the direction of all that follows on their line.
///
/// A quote that is cut loses the mark that ends it, and would turn the words behind it.
pub(super) const fn turns(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_is_told_from_what_shows_something() {
        for nothing in
            ["", " \r\n\t", "\u{200B}\u{200D}\u{FEFF}", "\u{202E}\u{2066}", "\u{2800}\u{3164}"]
        {
            assert!(!is_visible(nothing), "{nothing:?}");
        }
        for something in ["x", " . ", "👍", "\u{200B}漢", "e\u{301}", "🏴\u{E0067}\u{E007F}"] {
            assert!(is_visible(something), "{something:?}");
        }
    }
}
