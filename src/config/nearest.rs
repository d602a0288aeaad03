//! Which known name somebody probably meant.

/// The nearest of `names` by edit distance (insert, remove, replace, swap neighbours), if it is near enough to be
/// meant: a third of the letters may differ.
pub(super) fn nearest<'n>(wrong: &str, names: &[&'n str]) -> Option<&'n str> {
    let scored = names.iter().map(|name| (distance(wrong, name), *name));
    let (distance, name) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= wrong.chars().count().max(name.chars().count()).div_ceil(3)).then_some(name)
}

/// The optimal string alignment distance, with three rows.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut a_last = None;
    for (i, a_char) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, b_char) in b.iter().enumerate() {
            let cell =
                |cells: &[usize], at: usize| cells.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut cost = cell(&last, j) + usize::from(a_char != *b_char);
            cost = cost.min(cell(&last, j + 1) + 1).min(cell(&row, j) + 1);
            let crossed =
                j > 0 && a_last == Some(*b_char) && b.get(j.wrapping_sub(1)) == Some(&a_char);
            if crossed {
                cost = cost.min(cell(&before, j - 1) + 1);
            }
            row.push(cost);
        }
        a_last = Some(a_char);
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_foreign_word_is_not() {
        let keys = ["access_token", "app_secret", "api_url", "id"];
        assert_eq!(nearest("acces_token", &keys), Some("access_token"));
        assert_eq!(nearest("app_secert", &keys), Some("app_secret"));
        assert_eq!(nearest("apiurl", &keys), Some("api_url"));
        assert_eq!(nearest("colour", &keys), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn the_distance_counts_single_edits() {
        for (a, b, edits) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "abd", 1), ("abc", "acb", 1)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
