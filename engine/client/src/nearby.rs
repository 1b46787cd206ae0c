//! Unknown names: what was perhaps meant, or what there is.

use shmirror_shm::limits;

/// The rest of a message about an unknown name: what it may have meant, or what there is.
pub(crate) fn suggest(name: &str, known: &[String], what: &str) -> String {
    let near = near_names(name, known);
    if !near.is_empty() {
        return format!("; did you mean {}?", near.join(" or "));
    }
    const SHOWN: usize = 12;
    match known.len() {
        0 => format!("; there are no {what}"),
        n if n <= SHOWN => format!("; {what}: {}", known.join(", ")),
        n => format!("; {what}: {}, … ({n} in all)", known[..SHOWN].join(", ")),
    }
}

/// The known names that a typing error could have turned into `name`, nearest first.
fn near_names<'a>(name: &str, known: &'a [String]) -> Vec<&'a str> {
    if name.len() > limits::NAME_BYTES {
        return Vec::new();
    }
    let folded = name.to_ascii_lowercase();
    let most = 1 + folded.chars().count() / 4;
    let mut near: Vec<(usize, &str)> = known
        .iter()
        .filter_map(|k| {
            let distance = edits(&folded, &k.to_ascii_lowercase());
            (distance <= most).then_some((distance, k.as_str()))
        })
        .collect();
    near.sort();
    near.truncate(3);
    near.into_iter().map(|(_, k)| k).collect()
}

/// Levenshtein's edit distance (<https://en.wikipedia.org/wiki/Levenshtein_distance>), two rows.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn edit_distance() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("same", "same"), 0);
        assert_eq!(near_names("PRICE", &names(&["price", "rice", "mouse"])), ["price", "rice"]);
    }
}
