//! mmap-sync: a value of any type in a mapped file, of which readers use one version while another is written.
//! Here that value is the table, a hash map.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mmap_sync::synchronizer::Synchronizer;

use super::Shape;

/// Rows of 64 bytes by key.
pub type Rows = HashMap<u64, [u64; 8]>;

/// Writes the table.
pub fn fill(directory: &Path, shape: &Shape) -> Result<()> {
    let mut rows = Rows::new();
    for key in 0..shape.rows {
        let words = shape.words(key);
        rows.insert(key, words.as_slice().try_into().context("64 bytes")?);
    }
    let mut synchronizer = Synchronizer::new(directory.join("bench").as_os_str());
    synchronizer.write(&rows, Duration::from_secs(1)).map_err(|e| anyhow::anyhow!("{e:?}"))?;
    Ok(())
}

/// Reads rows; each read finds the newest version, as a keyed read of ours does.
pub fn reader(directory: &Path) -> Result<impl FnMut(u64) -> Result<u64> + use<>> {
    let mut synchronizer = Synchronizer::new(directory.join("bench").as_os_str());
    Ok(move |key: u64| {
        // SAFETY: the file is the one that `fill` wrote with this type, and the result is dropped at once.
        let table =
            unsafe { synchronizer.read::<Rows>(false) }.map_err(|e| anyhow::anyhow!("{e:?}"))?;
        let row = *table.get(&key).context("no row")?;
        Ok(std::hint::black_box(&row)[1])
    })
}

/// Reads all rows of one version, and adds up their second words.
pub fn scanner(directory: &Path) -> Result<impl FnMut() -> Result<(u64, u64)> + use<>> {
    let mut synchronizer = Synchronizer::new(directory.join("bench").as_os_str());
    Ok(move || {
        // SAFETY: as in `reader`.
        let table =
            unsafe { synchronizer.read::<Rows>(false) }.map_err(|e| anyhow::anyhow!("{e:?}"))?;
        let mut sum = 0_u64;
        for (_, found) in table.iter() {
            let row = *found;
            sum = sum.wrapping_add(std::hint::black_box(&row)[1]);
        }
        Ok((table.len() as u64, sum))
    })
}
