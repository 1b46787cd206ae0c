//! A disk whose power can go: what the daemon did to its files, read from the journal of its store's VFS, and
//! what of it may be there afterwards.
//!
//! The model is that of a page cache over a disk, as strict as POSIX lets it be:
//!
//! - A sync of a file brings what was written before it began, and the file's length, to the disk. What is
//!   there stays.
//! - Of what was not synced, any sector of 512 bytes may be as it was before, or as any of the writes since
//!   left it, whatever became of the others. The length may be any that the file had since.
//! - After a sync that failed, what it should have brought may be there or not, and a later sync that
//!   succeeds says nothing of it: only what is written again is synced again.
//! - A name that was given, taken away or changed since the last sync of its directory may be there or not,
//!   whatever was synced of the file itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shmirror_store::faults::journal::Op;

use crate::random::Random;

/// Bytes of a sector.
const SECTOR: usize = 512;
/// Sectors of a page.
const PAGE: u64 = 8;

type Sector = [u8; SECTOR];

/// A sector as a write left it.
#[derive(Clone, Debug)]
struct Version {
    /// Where in the journal that write stands.
    position: u64,
    bytes: Sector,
    /// The next sync brings it to the disk.
    dirty: bool,
}

/// A file.
#[derive(Clone, Debug, Default)]
struct File {
    /// What is on the disk.
    disk: Vec<u8>,
    /// What a process reads.
    cache: Vec<u8>,
    /// What the sectors were since they were synced, oldest first.
    sectors: BTreeMap<u64, Vec<Version>>,
    /// Lengths since it was synced, with their places in the journal.
    lengths: Vec<(u64, usize)>,
}

/// Something that happened to a name.
#[derive(Clone, Debug)]
enum Name {
    Given(PathBuf, usize),
    Taken(PathBuf),
    Changed(PathBuf, PathBuf, usize),
    Directory(PathBuf),
}

/// How much of what was not synced is kept.
#[derive(Clone, Copy, Debug)]
enum Keep {
    Nothing,
    All,
    /// All up to a place in the journal.
    Until(u64),
    /// Each sector for itself.
    Sectors,
    /// Each page for itself.
    Pages,
}

/// The disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    /// The names that processes see.
    names: BTreeMap<PathBuf, usize>,
    /// The names on the disk.
    names_on_disk: BTreeMap<PathBuf, usize>,
    pending: Vec<(u64, Name)>,
    /// Directories whose own names are not on the disk.
    adrift: Vec<PathBuf>,
    /// The journal was read up to here.
    read: u64,
}

/// What is left after the power went.
#[derive(Clone, Debug)]
pub struct Left {
    /// The files.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Sectors, lengths and names that were lost.
    pub lost: u64,
}

impl File {
    fn write(&mut self, position: u64, at: u64, bytes: &[u8]) {
        let at = at as usize;
        let end = at + bytes.len();
        if end > self.cache.len() {
            self.cache.resize(end, 0);
            self.lengths.push((position, end));
        }
        self.cache[at..end].copy_from_slice(bytes);
        self.touch(position, at, end);
    }

    /// The sectors of these bytes are as the cache has them.
    fn touch(&mut self, position: u64, from: usize, to: usize) {
        for sector in from / SECTOR..to.div_ceil(SECTOR) {
            let bytes = sector_of(&self.cache, sector as u64);
            let versions = self.sectors.entry(sector as u64).or_default();
            versions.push(Version { position, bytes, dirty: true });
        }
    }

    fn resize(&mut self, position: u64, length: usize) {
        let before = self.cache.len();
        self.cache.resize(length, 0);
        if before != length {
            self.lengths.push((position, length));
            self.touch(position, length.min(before), before.max(length));
        }
    }

    fn sync(&mut self, before: u64) {
        let mut lengths = self.lengths.iter().filter(|(position, _)| *position < before);
        let length = lengths.next_back().map_or(self.disk.len(), |(_, length)| *length);
        self.lengths.retain(|(position, _)| *position >= before);
        self.disk.resize(length, 0);
        self.sectors.retain(|&sector, versions| {
            let old = versions.iter().filter(|v| v.position < before).count();
            let brings = versions[..old].iter().any(|v| v.dirty);
            if brings {
                put(&mut self.disk, sector, &versions[old - 1].bytes);
                versions.drain(..old);
            }
            !versions.is_empty()
        });
    }

    fn sync_failed(&mut self, before: u64) {
        let versions = self.sectors.values_mut().flatten();
        versions.filter(|v| v.position < before).for_each(|v| v.dirty = false);
    }

    /// What is left of it, and how much is lost.
    fn left(&self, keep: Keep, random: &mut Random) -> (Vec<u8>, u64) {
        let mut disk = self.disk.clone();
        let mut lost = 0;
        let mut chosen = None;
        let choose = |positions: &[u64], random: &mut Random| match keep {
            Keep::Nothing => 0,
            Keep::All => positions.len(),
            Keep::Until(position) => positions.iter().filter(|p| **p < position).count(),
            Keep::Sectors | Keep::Pages => random.below(positions.len() as u64 + 1) as usize,
        };
        let positions: Vec<u64> = self.lengths.iter().map(|(position, _)| *position).collect();
        let count = choose(&positions, random);
        lost += (positions.len() - count) as u64;
        let length = if count == 0 { self.disk.len() } else { self.lengths[count - 1].1 };
        disk.resize(length, 0);
        for (&sector, versions) in &self.sectors {
            let positions: Vec<u64> = versions.iter().map(|v| v.position).collect();
            let mut count = choose(&positions, random);
            if let Keep::Pages = keep {
                // All sectors of a page are kept up to the same place.
                let page = sector / PAGE;
                let until = match chosen {
                    Some((of, until)) if of == page => until,
                    _ => match count {
                        0 => 0,
                        count => positions[count - 1] + 1,
                    },
                };
                chosen = Some((page, until));
                count = positions.iter().filter(|p| **p < until).count();
            }
            lost += u64::from(count < versions.len());
            if count > 0 {
                put(&mut disk, sector, &versions[count - 1].bytes);
            }
        }
        (disk, lost)
    }
}

fn sector_of(bytes: &[u8], sector: u64) -> Sector {
    let mut out = [0; SECTOR];
    let from = sector as usize * SECTOR;
    if let Some(there) = bytes.get(from..) {
        let count = there.len().min(SECTOR);
        out[..count].copy_from_slice(&there[..count]);
    }
    out
}

/// Puts a sector in, as far as the file reaches.
fn put(bytes: &mut [u8], sector: u64, of: &Sector) {
    if let Some(place) = bytes.get_mut(sector as usize * SECTOR..) {
        let count = place.len().min(SECTOR);
        place[..count].copy_from_slice(&of[..count]);
    }
}

impl Disk {
    /// One that has these files.
    pub fn of(files: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let mut disk = Self::default();
        for (path, bytes) in files {
            disk.names.insert(path.clone(), disk.files.len());
            disk.files.push(File { disk: bytes.clone(), cache: bytes.clone(), ..File::default() });
        }
        disk.names_on_disk = disk.names.clone();
        disk
    }

    fn file(&mut self, position: u64, path: &Path) -> &mut File {
        let number = match self.names.get(path) {
            Some(number) => *number,
            None => self.make(position, path),
        };
        &mut self.files[number]
    }

    fn make(&mut self, position: u64, path: &Path) -> usize {
        let number = self.files.len();
        self.files.push(File::default());
        self.names.insert(path.to_path_buf(), number);
        self.pending.push((position, Name::Given(path.to_path_buf(), number)));
        number
    }

    /// Reads on in the journal, and stops behind the next word of the test's, which it returns, or where
    /// the journal ends, or at `until`.
    pub fn follow<'j>(&mut self, journal: &'j [u8], until: u64) -> Option<&'j str> {
        while self.read < until
            && let Some((op, length)) = journal.get(self.read as usize..).and_then(Op::read)
        {
            let position = self.read;
            self.read += length as u64;
            match op {
                Op::Open { path, length } => {
                    // One that was made anew under an old name.
                    let known = self.names.get(path).map(|&number| self.files[number].cache.len());
                    if known.is_none() || (length == 0 && known != Some(0)) {
                        self.make(position, path);
                    }
                }
                Op::Write { path, at, bytes } => {
                    self.file(position, path).write(position, at, bytes);
                }
                Op::Length { path, length } => {
                    self.file(position, path).resize(position, length as usize);
                }
                Op::Sync { path, before } => self.file(position, path).sync(before),
                Op::SyncFailed { path, before } => self.file(position, path).sync_failed(before),
                Op::Remove { path } => {
                    self.names.remove(path);
                    self.pending.push((position, Name::Taken(path.to_path_buf())));
                }
                Op::Rename { from, to } => {
                    let (from, to) = (from.to_path_buf(), to.to_path_buf());
                    if let Some(number) = self.names.remove(&from) {
                        self.names.insert(to.clone(), number);
                        self.pending.push((position, Name::Changed(from, to, number)));
                    }
                }
                Op::MakeDirectory { path } => {
                    self.pending.push((position, Name::Directory(path.to_path_buf())));
                    self.adrift.push(path.to_path_buf());
                }
                Op::SyncDirectory { path, before } => {
                    let (done, pending) = std::mem::take(&mut self.pending)
                        .into_iter()
                        .partition(|(at, name)| *at < before && name.parent() == Some(path));
                    self.pending = pending;
                    for (_, name) in done {
                        name.apply(&mut self.names_on_disk, &mut self.adrift);
                    }
                }
                Op::Note { text } => return Some(text),
            }
        }
        None
    }

    /// How far the journal was read.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// All files that it ever had.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let pending = self.pending.iter().filter_map(|(_, name)| match name {
            Name::Given(path, _) | Name::Taken(path) | Name::Changed(path, ..) => Some(path),
            Name::Directory(_) => None,
        });
        self.names.keys().chain(self.names_on_disk.keys()).chain(pending)
    }

    /// The test itself has removed a file.
    pub fn forget(&mut self, path: &Path) {
        self.names.remove(path);
        self.names_on_disk.remove(path);
    }

    /// The process ended, the power did not: the kernel has what the files are, also where the journal's last
    /// record tells of something that was not done.
    pub fn ended(&mut self) {
        let paths: Vec<PathBuf> = self.names.keys().cloned().collect();
        for path in paths {
            let position = self.read;
            let Ok(real) = std::fs::read(&path) else {
                self.names.remove(&path);
                self.pending.push((position, Name::Taken(path)));
                continue;
            };
            let file = self.file(position, &path);
            if file.cache == real {
                continue;
            }
            file.resize(position, real.len());
            for sector in 0..real.len().div_ceil(SECTOR) as u64 {
                if sector_of(&file.cache, sector) != sector_of(&real, sector) {
                    let from = sector as usize * SECTOR;
                    let to = real.len().min(from + SECTOR);
                    file.write(position, from as u64, &real[from..to]);
                }
            }
        }
    }

    /// What is there after the power went now.
    pub fn left(&self, random: &mut Random) -> Left {
        let mut files = BTreeMap::new();
        let (mut names, mut adrift) = (self.names_on_disk.clone(), self.adrift.clone());
        let mut lost = 0;
        let names_kept = random.below(3);
        for (_, name) in self.pending.iter().cloned() {
            let kept = match names_kept {
                0 => false,
                1 => true,
                _ => random.below(2) == 0,
            };
            lost += u64::from(!kept);
            if kept {
                name.apply(&mut names, &mut adrift);
            }
        }
        for (path, number) in names {
            if adrift.iter().any(|directory| path.starts_with(directory)) {
                continue;
            }
            let keep = match random.below(8) {
                0 => Keep::Nothing,
                1 => Keep::All,
                2 | 3 => Keep::Until(random.below(self.read + 1)),
                4 | 5 => Keep::Sectors,
                6 => Keep::Pages,
                // Towards the end, where what is not synced stands.
                _ => Keep::Until(self.read - random.below(self.read.min(1 << 16) + 1)),
            };
            let (bytes, of_file) = self.files[number].left(keep, random);
            lost += of_file;
            files.insert(path, bytes);
        }
        Left { files, lost }
    }
}

impl Name {
    fn parent(&self) -> Option<&Path> {
        match self {
            Self::Given(path, _) | Self::Taken(path) | Self::Changed(_, path, _) => path.parent(),
            Self::Directory(path) => path.parent(),
        }
    }

    fn apply(self, names: &mut BTreeMap<PathBuf, usize>, adrift: &mut Vec<PathBuf>) {
        match self {
            Self::Given(path, number) => _ = names.insert(path, number),
            Self::Taken(path) => _ = names.remove(&path),
            Self::Changed(from, to, number) => {
                names.remove(&from);
                names.insert(to, number);
            }
            Self::Directory(path) => adrift.retain(|p| *p != path),
        }
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
