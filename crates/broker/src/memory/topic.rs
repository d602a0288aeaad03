//! Whether a topic pattern takes a routing key. Pure.

/// `*` stands for one word, `#` for any number of them.
///
/// Each `#` multiplies the ways that are tried: patterns come from our own topology, which has one at most.
pub(super) fn matches(pattern: &str, routing_key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let words: Vec<&str> =
        if routing_key.is_empty() { Vec::new() } else { routing_key.split('.').collect() };
    words_match(&pattern, &words)
}

fn words_match(pattern: &[&str], words: &[&str]) -> bool {
    match (pattern.split_first(), words.split_first()) {
        (None, None) => true,
        (Some((&"#", rest)), taken) => {
            words_match(rest, words) || taken.is_some_and(|(_, fewer)| words_match(pattern, fewer))
        }
        (Some((part, rest)), Some((word, fewer))) => {
            (*part == "*" || part == word) && words_match(rest, fewer)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_one_word_and_a_hash_any_number() {
        let yes = [
            ("a.b", "a.b"),
            ("a.*", "a.b"),
            ("#", ""),
            ("#", "a.b.c"),
            ("a.#", "a"),
            ("a.#.z", "a.z"),
            ("a.#.z", "a.b.z.c.z"),
            ("#.b.#", "a.b.c"),
            ("*.#", "a"),
        ];
        let no =
            [("a.*", "a"), ("a.*", "a.b.c"), ("a.#.z", "a.b"), ("*", ""), ("*.#", ""), ("a", "b")];
        assert!(yes.iter().all(|(pattern, key)| matches(pattern, key)));
        assert!(no.iter().all(|(pattern, key)| !matches(pattern, key)));
    }
}
