//! Which row of a rejected load it was: the daemon rejects whole transactions, so prefixes are tried.

/// The first of `rows` rows that makes a prefix fail; `None` where no prefix fails by itself (a
/// constraint that is only checked at the end). `fails(n)` tries the first `n` rows and keeps
/// nothing of them.
pub fn first_bad<E>(
    rows: usize,
    mut fails: impl FnMut(usize) -> Result<bool, E>,
) -> Result<Option<usize>, E> {
    // Prefixes of `good` rows hold, those of `bad` rows fail.
    let (mut good, mut bad) = (0, rows);
    if rows == 0 || !fails(rows)? {
        return Ok(None);
    }
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fails(middle)? {
            bad = middle;
        } else {
            good = middle;
        }
    }
    Ok(Some(bad - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_row_is_found_in_few_tries() {
        for rows in [1usize, 2, 3, 100, 1000] {
            for bad in 0..rows {
                let mut tries = 0;
                let found = first_bad(rows, |n| {
                    tries += 1;
                    Ok::<bool, ()>(n > bad)
                });
                assert_eq!(found, Ok(Some(bad)));
                assert!(tries <= 2 + rows.ilog2() as usize, "{tries} tries for {rows} rows");
            }
        }
        assert_eq!(first_bad(10, |_| Ok::<bool, ()>(false)), Ok(None));
        assert_eq!(first_bad(0, |_| Ok::<bool, ()>(true)), Ok(None));
        assert_eq!(first_bad(2, |_| Err::<bool, &str>("gone")), Err("gone"));
    }
}
