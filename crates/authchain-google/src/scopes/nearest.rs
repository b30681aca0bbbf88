//! The name that looks most like a mistyped one.

/// The candidate with the fewest edits from `name`, if it is near enough to be meant. Case and the choice between `.`,
/// `_`, `-` and spaces do not count as edits. Of equals the first wins.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = fold(name);
    // A typing error in every third character: beyond that it is another word.
    let limit = (name.len() / 3).clamp(1, 6);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let folded = fold(candidate);
        let bound = best.map_or(limit + 1, |(distance, _)| distance);
        if folded.len().abs_diff(name.len()) >= bound {
            continue;
        }
        let distance = distance(&name, &folded);
        if distance < bound {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The characters that count. What nobody types by hand is cut, so that a long input costs no time.
fn fold(name: &str) -> Vec<char> {
    let fold = |c: char| if matches!(c, '_' | '-' | ' ' | '/') { '.' } else { c.to_ascii_lowercase() };
    name.chars().take(128).map(fold).collect()
}

/// Levenshtein's distance with one row of memory.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b) {
            let above = *cell;
            *cell = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            (diagonal, left) = (above, *cell);
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(a: &str, b: &str) -> usize {
        distance(&fold(a), &fold(b))
    }

    #[test]
    fn the_distance_counts_edits() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("drive_file", "Drive.File"), 0);
    }

    #[test]
    fn what_is_too_far_away_is_not_meant() {
        let names = ["drive.readonly", "gmail.send"];
        assert_eq!(nearest("drive.readnly", names.into_iter()), Some("drive.readonly"));
        assert_eq!(nearest("something else", names.into_iter()), None);
        assert_eq!(nearest("", names.into_iter()), None);
    }
}
