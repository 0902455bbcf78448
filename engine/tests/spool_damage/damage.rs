//! What is done to the files: one damage or some, each of a random kind at a random place, all of one seed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::Random;
use crate::base::{BODY, Base, Known, is_segment};

const PAGE: usize = 4096;

/// Something under a path.
#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>),
    Folder,
    Pipe,
    Link(PathBuf),
}

/// Files of a base after the damage.
#[derive(Debug)]
pub(crate) struct Damaged {
    nodes: BTreeMap<PathBuf, Node>,
    /// In words, for who repeats it.
    pub(crate) what: String,
    /// Only one page or less of one file differs.
    pub(crate) is_small: bool,
}

/// Kinds of damage to the bytes of a file.
const OF_BYTES: [&str; 12] = [
    "a bit",
    "bits",
    "garbage",
    "zero page",
    "ones page",
    "garbage page",
    "page of another file",
    "swapped pages",
    "cut",
    "longer",
    "zeros from",
    "shifted",
];

/// Kinds of damage to a file as a whole.
const OF_FILES: [&str; 9] = [
    "removed",
    "empty",
    "folder instead",
    "pipe instead",
    "dangling link instead",
    "copied",
    "overwritten by another",
    "names swapped",
    "all zeros",
];

impl Damaged {
    pub(crate) fn new(base: &Base, random: &mut Random) -> Self {
        let nodes = base
            .files
            .iter()
            .map(|(path, bytes)| (path.clone(), Node::File(bytes.clone())));
        let mut damaged = Self {
            nodes: nodes.collect(),
            what: String::new(),
            is_small: true,
        };
        let count = *random.one_of(&[1, 1, 1, 2, 3, 6]);
        for _ in 0..count {
            if !damaged.what.is_empty() {
                damaged.what.push_str(", ");
            }
            let paths: Vec<_> = damaged.nodes.keys().cloned().collect();
            let path = random.one_of(&paths).clone();
            if random.below(4) == 0 {
                damaged.of_file(&path, random);
            } else {
                damaged.of_bytes(&path, random);
            }
        }
        damaged.is_small &= count == 1;
        damaged
    }

    fn other(&self, random: &mut Random) -> Vec<u8> {
        let files: Vec<_> = self
            .nodes
            .iter()
            .filter(|(path, _)| is_segment(path))
            .map(|(_, node)| node)
            .collect();
        match files.get(random.below(files.len().max(1))) {
            Some(Node::File(bytes)) => bytes.clone(),
            _ => Vec::new(),
        }
    }

    fn of_bytes(&mut self, path: &Path, random: &mut Random) {
        let other = self.other(random);
        let kind = *random.one_of(&OF_BYTES);
        let Some(Node::File(bytes)) = self.nodes.get_mut(path) else {
            return;
        };
        let len = bytes.len();
        if len == 0 {
            return;
        }
        let at = place(len, random);
        let page = at / PAGE * PAGE..(at / PAGE * PAGE + PAGE).min(len);
        self.what += &format!("{kind} of {} at {at}", path.display());
        match kind {
            "a bit" => bytes[at] ^= 1 << random.below(8),
            "bits" => {
                for _ in 0..1 + random.below(8) {
                    bytes[page.start + random.below(page.len())] ^= 1 << random.below(8);
                }
            }
            "garbage" => fill(&mut bytes[at..(at + 1 + random.below(64)).min(page.end)], random),
            "zero page" => bytes[page].fill(0),
            "ones page" => bytes[page].fill(0xFF),
            "garbage page" => fill(&mut bytes[page], random),
            "page of another file" => {
                // As often the page at the same place as any.
                let from = if random.below(2) == 0 {
                    page.start
                } else {
                    random.below(other.len() / PAGE + 1) * PAGE
                };
                for (to, from) in bytes[page].iter_mut().zip(other.get(from..).unwrap_or_default()) {
                    *to = *from;
                }
            }
            "swapped pages" => {
                let second = place(len, random) / PAGE * PAGE;
                for place in 0..page.len().min(len - second) {
                    bytes.swap(page.start + place, second + place);
                }
                self.is_small = false;
            }
            "cut" => {
                bytes.truncate(if random.below(2) == 0 { at } else { page.start });
                self.is_small = false;
            }
            "longer" => {
                let zeros = random.below(2) == 0;
                bytes.resize(len + 1 + random.below(3 * PAGE), 0);
                if !zeros {
                    fill(&mut bytes[len..], random);
                }
            }
            "zeros from" => {
                bytes[at..].fill(0);
                self.is_small = false;
            }
            _ => {
                bytes.rotate_right(1 + random.below(len));
                self.is_small = false;
            }
        }
    }

    fn of_file(&mut self, path: &Path, random: &mut Random) {
        let kind = *random.one_of(&OF_FILES);
        self.what += &format!("{kind}: {}", path.display());
        self.is_small = false;
        let alike = |other: &&PathBuf| other.parent() == path.parent() && other.as_path() != path;
        let others: Vec<_> = self.nodes.keys().filter(alike).cloned().collect();
        let node = match kind {
            "removed" => {
                self.nodes.remove(path);
                return;
            }
            "empty" => Node::File(Vec::new()),
            "folder instead" => Node::Folder,
            "pipe instead" => Node::Pipe,
            "dangling link instead" => Node::Link("nothing-there".into()),
            "all zeros" => match &self.nodes[path] {
                Node::File(bytes) => Node::File(vec![0; bytes.len()]),
                _ => return,
            },
            "copied" => {
                let name = format!(
                    "{}.{}",
                    1 + random.below(40),
                    if is_segment(path) { "segment" } else { "toml" }
                );
                let copy = path.with_file_name(name);
                let node = self.nodes[path].clone();
                self.what += &format!(" to {}", copy.display());
                self.nodes.insert(copy, node);
                return;
            }
            _ if others.is_empty() => return,
            _ => {
                let other = random.one_of(&others).clone();
                self.what += &format!(" and {}", other.display());
                let (own, theirs) = (self.nodes[path].clone(), self.nodes[&other].clone());
                if kind == "names swapped" {
                    self.nodes.insert(other, own);
                }
                theirs
            }
        };
        self.nodes.insert(path.to_path_buf(), node);
    }

    /// Whether nothing is under the name of its file that could tell that there was a record: no file, one without
    /// bytes, or a whole one that is another.
    pub(crate) fn is_gone(&self, base: &Base, record: &Known) -> bool {
        match self.nodes.get(&record.file) {
            None => true,
            Some(Node::File(bytes)) => {
                let is_other = |(path, other): (&PathBuf, &Vec<u8>)| *path != record.file && other == bytes;
                bytes.iter().all(|&byte| byte == 0) || base.files.iter().any(is_other)
            }
            Some(_) => false,
        }
    }

    /// Whether the lock cannot be one: the next process says so and does not start.
    pub(crate) fn has_no_lock(&self) -> bool {
        matches!(self.nodes.get(Path::new("lock")), Some(Node::Folder | Node::Pipe))
    }

    /// Whether its frame is as it was written, where it was.
    pub(crate) fn is_untouched(&self, base: &Base, record: &Known) -> bool {
        let Some(Node::File(bytes)) = self.nodes.get(&record.file) else {
            return false;
        };
        bytes.get(record.bytes.clone()) == base.files[&record.file].get(record.bytes.clone())
    }

    /// Puts the files into a folder that is not there yet.
    pub(crate) fn write(&self, folder: &Path) {
        fs::create_dir_all(folder.join("models")).unwrap();
        for (path, node) in &self.nodes {
            let path = folder.join(path);
            match node {
                Node::File(bytes) => fs::write(path, bytes).unwrap(),
                Node::Folder => fs::create_dir(path).unwrap(),
                Node::Pipe => mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
                Node::Link(to) => std::os::unix::fs::symlink(to, path).unwrap(),
            }
        }
    }
}

/// Heads, checkpoints, first frames, marks and tails as often as anything between.
fn place(len: usize, random: &mut Random) -> usize {
    let at = match random.below(6) {
        0 => random.below(64),
        1 => random.below(BODY),
        2 => BODY + random.below(512),
        3 => len.saturating_sub(1 + random.below(BODY)),
        4 => len.saturating_sub(1 + BODY + random.below(BODY)),
        _ => random.below(len),
    };
    at.min(len - 1)
}

fn fill(bytes: &mut [u8], random: &mut Random) {
    for byte in bytes {
        *byte = random.next().to_le_bytes()[3];
    }
}
