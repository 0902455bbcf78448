//! The least CPU quota among the cgroups that hold this process, v1 and v2.
//!
//! `/proc/self/cgroup` names the process's cgroup in each hierarchy, `/proc/self/mountinfo` where hierarchies are
//! mounted and which part of them. A quota applies to everything below it, so every ancestor up to the mount point
//! counts. Cgroups above the mount point, or outside of a container's namespace, cannot be seen. That is why the ECS
//! task's limit is read separately.
//!
//! An absent value is no limit; a value that cannot be understood is a warning and no limit.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Bytes read of `/proc/self/mountinfo`: a host with thousands of mounts has some hundred thousand.
const MOUNTINFO_BYTES_MAX: u64 = 4 << 20;

/// Bytes read of a file with a number or two.
const QUOTA_BYTES_MAX: u64 = 4 << 10;

/// Levels of cgroups that are looked at. systemd in a container in systemd makes ten.
const LEVELS_MAX: usize = 64;

/// A quota, in CPUs, and the file that states it.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// CPUs' worth of time.
    pub cpus: f64,
    /// Where it was found.
    pub file: String,
}

/// What was found under a root.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The least quota, if there is any.
    pub least: Option<Quota>,
    /// Files that could not be read or understood, a sentence each.
    pub warnings: Vec<String>,
}

/// Which form of cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// What a hierarchy of version 1 limits; one of version 2 limits both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Cpu,
    Memory,
}

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// A mounted hierarchy that has a controller.
#[derive(Debug)]
struct Mount {
    version: Version,
    /// Which of its cgroups is mounted.
    top: String,
    /// Where.
    point: String,
}

/// Looks for quotas; `root` is `/` but in tests.
#[must_use]
pub fn quota(root: &Path) -> Found {
    let mut warnings = Vec::new();
    let groups = groups(root, Controller::Cpu, &mut warnings);
    let mut reader = Reader {
        root,
        found: Found { least: None, warnings },
    };
    for (version, folder) in groups {
        match version {
            Version::V1 => reader.v1(&folder),
            Version::V2 => reader.v2(&folder),
        }
    }
    reader.found
}

/// The folders of the cgroups that hold this process and have a controller, with all their visible ancestors.
pub(super) fn groups(root: &Path, controller: Controller, warnings: &mut Vec<String>) -> Vec<(Version, String)> {
    let mut whole = |path| read_some(root, path, MOUNTINFO_BYTES_MAX, warnings).unwrap_or_default();
    let (member, mounts) = (whole("/proc/self/cgroup"), whole("/proc/self/mountinfo"));
    let mounts: Vec<Mount> = mounts.lines().filter_map(|line| mount(line, controller)).collect();
    let of_line = |line| {
        let (version, path) = membership(line, controller)?;
        Some(
            folders(&mounts, version, path)
                .into_iter()
                .map(move |folder| (version, folder)),
        )
    };
    member.lines().filter_map(of_line).flatten().collect()
}

/// `HIERARCHY:CONTROLLERS:PATH`, if that hierarchy may have the controller.
fn membership(line: &str, controller: Controller) -> Option<(Version, &str)> {
    let mut parts = line.splitn(3, ':');
    let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    if id == "0" && controllers.is_empty() {
        return Some((Version::V2, path));
    }
    controllers
        .split(',')
        .any(|name| name == controller.name())
        .then_some((Version::V1, path))
}

/// `ID PARENT MAJOR:MINOR TOP POINT OPTIONS [TAGS…] - TYPE SOURCE SUPER_OPTIONS`.
fn mount(line: &str, controller: Controller) -> Option<Mount> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let version = match (kind.next()?, kind.nth(1)) {
        ("cgroup2", _) => Version::V2,
        ("cgroup", Some(options)) if options.split(',').any(|option| option == controller.name()) => Version::V1,
        _ => return None,
    };
    let mut place = place.split(' ').skip(3);
    Some(Mount {
        version,
        top: unescape(place.next()?),
        point: unescape(place.next()?),
    })
}

/// The kernel writes space, tab, newline and backslash of a path as `\040` and so on.
fn unescape(path: &str) -> String {
    let mut parts = path.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                out.push(char::from(code));
                out.push_str(&part[3..]);
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

/// The folders of a cgroup and of all its visible ancestors, the leaf first.
fn folders(mounts: &[Mount], version: Version, path: &str) -> Vec<String> {
    let of_version = || mounts.iter().filter(|mount| mount.version == version);
    let mut folders = Vec::new();
    for mount in of_version() {
        let Some(below) = below(path, &mount.top) else { continue };
        let names: Vec<&str> = below.split('/').filter(|name| !name.is_empty()).collect();
        for depth in (0..=names.len()).rev().take(LEVELS_MAX) {
            let mut folder = mount.point.clone();
            for name in &names[..depth] {
                folder = format!("{}/{name}", folder.trim_end_matches('/'));
            }
            folders.push(folder);
        }
    }
    if folders.is_empty() {
        // The path is not below what is mounted: a container with the host's `/proc` view, or a namespace that was
        // left. Runtimes mount the container's own cgroup, so the mount point is the best guess there is.
        folders.extend(of_version().map(|mount| mount.point.clone()));
    }
    folders
}

/// What of a cgroup's path lies below the mounted one; none when it does not, or leaves it.
fn below<'p>(path: &'p str, top: &str) -> Option<&'p str> {
    let below = path.strip_prefix(top.trim_end_matches('/'))?;
    let is_below = below.is_empty() || below.starts_with('/');
    (is_below && !below.split('/').any(|name| name == "..")).then_some(below)
}

/// Reads files below a root and keeps the least quota.
struct Reader<'r> {
    root: &'r Path,
    found: Found,
}

impl Reader<'_> {
    fn v1(&mut self, folder: &str) {
        let file = format!("{}/cpu.cfs_quota_us", folder.trim_end_matches('/'));
        let Some(quota) = self.read(&file, QUOTA_BYTES_MAX) else {
            return;
        };
        let quota = quota.trim();
        if quota == "-1" {
            return;
        }
        let period_file = format!("{}/cpu.cfs_period_us", folder.trim_end_matches('/'));
        let Some(period) = self.read(&period_file, QUOTA_BYTES_MAX) else {
            self.found
                .warnings
                .push(format!("{period_file} is absent beside a quota"));
            return;
        };
        self.take(file, quota, period.trim());
    }

    fn v2(&mut self, folder: &str) {
        let file = format!("{}/cpu.max", folder.trim_end_matches('/'));
        let Some(text) = self.read(&file, QUOTA_BYTES_MAX) else {
            return;
        };
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next().unwrap_or("100000"), words.next()) {
            (Some("max"), _, None) => {}
            (Some(quota), period, None) => self.take(file, quota, period),
            _ => self
                .found
                .warnings
                .push(format!("{file} holds no quota: {:.40?}", text.trim())),
        }
    }

    /// Microseconds of CPU time in each period, and the period in microseconds.
    fn take(&mut self, file: String, quota: &str, period: &str) {
        let micros = |text: &str| text.parse::<u32>().ok().filter(|&micros| micros > 0).map(f64::from);
        let (Some(quota_us), Some(period_us)) = (micros(quota), micros(period)) else {
            let warning = format!("{file} holds no quota: {quota:.40?} of a period of {period:.40?}");
            self.found.warnings.push(warning);
            return;
        };
        let cpus = quota_us / period_us;
        if self.found.least.as_ref().is_none_or(|least| cpus < least.cpus) {
            self.found.least = Some(Quota { cpus, file });
        }
    }

    fn read(&mut self, path: &str, bytes_max: u64) -> Option<String> {
        read_some(self.root, path, bytes_max, &mut self.found.warnings)
    }
}

/// The text of a file with a number or some lines.
pub(super) fn read(root: &Path, path: &str, warnings: &mut Vec<String>) -> Option<String> {
    read_some(root, path, QUOTA_BYTES_MAX, warnings)
}

/// The start of a file's text; none when it does not exist, and a warning when that is not why.
fn read_some(root: &Path, path: &str, bytes_max: u64, warnings: &mut Vec<String>) -> Option<String> {
    let place: PathBuf = root.join(path.trim_start_matches('/'));
    let mut bytes = Vec::new();
    let result = std::fs::File::open(place).and_then(|file| file.take(bytes_max).read_to_end(&mut bytes));
    match result {
        Ok(_) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
        Err(error) => {
            warnings.push(format!("{path} cannot be read: {error}"));
            None
        }
    }
}
