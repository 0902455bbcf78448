//! The function at an address, from the symbol tables of this program and of its loaded libraries.
//!
//! Symbol tables have a few megabytes. Debug information, which knows inlined functions too, takes hundreds to read. So
//! it is only used on request: a task of 512 MB would not survive it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::ops::Range;

use object::{Object as _, ObjectSegment as _, ObjectSymbol as _, ReadCache, SymbolKind};

/// Files in memory, each with its symbols once an address in it was asked for.
pub(super) struct Symbols {
    mappings: Vec<Mapping>,
    files: HashMap<String, Table>,
}

/// A piece of a file that is executable.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    addresses: Range<u64>,
    /// Where in the file it begins.
    offset: u64,
    path: String,
}

/// Functions of a file by address, ascending, and how its offsets become its own addresses.
#[derive(Default)]
struct Table {
    functions: Vec<(Range<u64>, String)>,
    /// Of each segment: its place in the file and its address.
    segments: Vec<(Range<u64>, u64)>,
}

impl Symbols {
    /// Of this process as it is now.
    pub(super) fn new() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        Self {
            mappings: maps.lines().filter_map(Mapping::parse).collect(),
            files: HashMap::new(),
        }
    }

    /// The name of the function that an address is in; what is known of its place where no function is.
    pub(super) fn name(&mut self, address: u64) -> String {
        let Some(mapping) = self
            .mappings
            .iter()
            .find(|mapping| mapping.addresses.contains(&address))
        else {
            return "[unknown]".into();
        };
        let path = &mapping.path;
        let table = self
            .files
            .entry(path.clone())
            .or_insert_with(|| Table::read(path).unwrap_or_default());
        let in_file = address - mapping.addresses.start + mapping.offset;
        let file_name = path.rsplit('/').next().unwrap_or(path);
        table
            .find(in_file)
            .map_or_else(|| format!("[{}]", file_name.trim_matches(['[', ']'])), str::to_owned)
    }
}

impl Mapping {
    /// A line of `/proc/self/maps`, if it is executable.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let is_executable = words.next()?.contains('x');
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let offset = hex(words.next()?)?;
        let path = words.skip(2).collect::<Vec<_>>().join(" ");
        (is_executable && !path.is_empty()).then_some(Self {
            addresses: hex(start)?..hex(end)?,
            offset,
            path,
        })
    }
}

impl Table {
    fn read(path: &str) -> Option<Self> {
        // The file itself, also where it was replaced or deleted since: this program's own.
        let is_own = fs::read_link("/proc/self/exe").is_ok_and(|own| own.as_os_str() == path);
        let cache = ReadCache::new(File::open(if is_own { "/proc/self/exe" } else { path }).ok()?);
        let file = object::File::parse(&cache).ok()?;
        let symbols = file.symbols().chain(file.dynamic_symbols());
        let mut functions: Vec<(Range<u64>, String)> = symbols
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
            .filter_map(|symbol| {
                // An assembler's functions may have no length.
                let end = symbol.address() + symbol.size().max(1);
                Some((symbol.address()..end, symbol.name().ok()?.to_owned()))
            })
            .collect();
        functions.sort_by_key(|(addresses, _)| (addresses.start, std::cmp::Reverse(addresses.end)));
        functions.dedup_by_key(|(addresses, _)| addresses.start);
        let segments = file.segments().map(|segment| {
            let (offset, length) = segment.file_range();
            (offset..offset + length, segment.address())
        });
        let segments = segments.collect();
        Some(Self { functions, segments })
    }

    fn find(&self, in_file: u64) -> Option<&str> {
        let (place, address) = self.segments.iter().find(|(place, _)| place.contains(&in_file))?;
        let address = in_file - place.start + address;
        let next = self
            .functions
            .partition_point(|(addresses, _)| addresses.start <= address);
        let (addresses, name) = self.functions.get(next.checked_sub(1)?)?;
        addresses.contains(&address).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_lines_of_the_kernels() {
        let line = "55d0c0a00000-55d0c0b00000 r-xp 0074b000 fe:00 1234                       /usr/bin/a program";
        assert_eq!(
            Mapping::parse(line),
            Some(Mapping {
                addresses: 0x55d0_c0a0_0000..0x55d0_c0b0_0000,
                offset: 0x74_b000,
                path: "/usr/bin/a program".into()
            })
        );
        for line in [
            "",
            "7f00-7f10 rw-p 00000000 00:00 0",
            "7f00-7f10 r--p 0 fe:00 1 /lib/x",
            "x-y r-xp 0 0 0 z",
        ] {
            assert_eq!(Mapping::parse(line), None, "{line}");
        }
    }

    #[test]
    fn functions_of_this_program_and_of_its_libraries_have_names() {
        let mut symbols = Symbols::new();
        let mut name = |address: usize| symbols.name(address as u64 + 1);
        let own = name(functions_of_this_program_and_of_its_libraries_have_names as *const () as usize);
        assert!(own.contains("functions_of_this_program"), "{own}");
        let foreign = name(libc::getpid as *const () as usize);
        assert!(foreign.contains("getpid"), "{foreign}");
        assert_eq!(Symbols::new().name(8), "[unknown]");
    }
}
