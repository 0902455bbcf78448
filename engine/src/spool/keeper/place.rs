//! Where the keeper process writes: the folder of its server; or, when that was removed or replaced, one that it makes
//! anew at the same path, so that the next process delivers it. Where another spool lies there by now, that is left
//! alone, and the records get a folder below it that is a spool by itself.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::spool::SpoolError;
use crate::spool::folder::{Folder, Holder, LOCK};
use crate::spool::recover::names;
use crate::spool::schemas;

/// What the folder is called that is made beside the files of another spool.
const LEFT: &str = "left";

/// The folder that the keeper process writes to.
#[derive(Debug)]
pub(super) enum Place<'a> {
    /// The server's own, by the lock that both have.
    Own(PathBuf, &'a File),
    /// Made anew.
    New(Folder),
    /// Below another spool's.
    Aside(PathBuf),
}

impl<'a> Place<'a> {
    pub(super) fn of_server(folder: &Path, lock: &'a File) -> Self {
        Self::Own(folder.to_path_buf(), lock)
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Own(path, _) | Self::Aside(path) => path,
            Self::New(folder) => &folder.path,
        }
    }

    /// Sees to it that it is there, and that the models of its records are described in it.
    pub(super) fn ensure(&mut self, folder: &Path, models: &BTreeMap<u32, Vec<u8>>) -> io::Result<()> {
        if !self.is_there() {
            *self = Self::anew(folder)?;
        }
        for (&number, text) in models {
            schemas::ensure(self.path(), number, text)?;
        }
        Ok(())
    }

    fn is_there(&self) -> bool {
        match self {
            Self::Own(path, lock) => is_same(lock, &path.join(LOCK)).unwrap_or(false),
            Self::New(folder) => folder.look().is_ok(),
            Self::Aside(path) => path.is_dir(),
        }
    }

    fn anew(path: &Path) -> io::Result<Self> {
        match Folder::try_take(path) {
            Ok(folder) if is_empty(path)? => {
                Holder::Keeper(std::process::id()).write(&folder.lock)?;
                Ok(Self::New(folder))
            }
            Ok(folder) => {
                folder.unlock();
                aside(path)
            }
            Err(SpoolError::InUse(_)) => aside(path),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Lets the next process have it.
    pub(super) fn let_go(&self) {
        if let Self::New(folder) = self {
            folder.unlock();
        }
    }
}

/// Whether an open file is the one at a path.
fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    let (here, there) = (file.metadata()?, fs::metadata(path)?);
    Ok((here.dev(), here.ino()) == (there.dev(), there.ino()))
}

/// Whether no spool lies in a folder.
fn is_empty(folder: &Path) -> io::Result<bool> {
    let (segments, _) = names(folder).map_err(io::Error::other)?;
    Ok(segments.is_empty() && schemas::are_none(folder)?)
}

fn aside(folder: &Path) -> io::Result<Place<'static>> {
    let mut number = 1;
    loop {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let path = folder.join(format!("{LEFT}{suffix}.aside"));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|()| Place::Aside(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::testing::TestDir;

    fn models() -> BTreeMap<u32, Vec<u8>> {
        BTreeMap::from([(3, b"what model 3 is called".to_vec())])
    }

    #[test]
    fn a_folder_that_is_there_is_used_and_one_that_is_gone_is_made_anew() {
        let dir = TestDir::new("place-own");
        let path = dir.path().join("spool");
        let own = Folder::try_take(&path).unwrap();
        let mut place = Place::of_server(&path, &own.lock);
        place.ensure(&path, &models()).unwrap();
        assert!(matches!(&place, Place::Own(..)));
        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        place.ensure(&path, &models()).unwrap();
        assert!(matches!(&place, Place::New(_)));
        assert_eq!(fs::read(path.join("models/3.copy")).unwrap(), models()[&3]);
        assert!(
            Folder::try_take(&path).is_err(),
            "nobody else takes it before it is complete"
        );
        place.let_go();
        assert!(Folder::try_take(&path).is_ok());
    }

    #[test]
    fn another_spool_in_its_place_is_left_alone() {
        let dir = TestDir::new("place-foreign");
        for (number, foreign) in ["segment", "model", "in use"].into_iter().enumerate() {
            let path = dir.path().join(number.to_string());
            let own = Folder::try_take(&path).unwrap();
            let mut place = Place::of_server(&path, &own.lock);
            fs::rename(&path, dir.path().join("elsewhere")).unwrap();
            fs::create_dir_all(path.join("models")).unwrap();
            let server = match foreign {
                "segment" => fs::write(path.join("00000001.segment"), "theirs").map(|()| None),
                "model" => fs::write(path.join("models/3.toml"), "theirs").map(|()| None),
                _ => Ok(Some(Folder::try_take(&path).unwrap())),
            };
            let server = server.unwrap();
            place.ensure(&path, &models()).unwrap();
            assert_eq!(place.path(), path.join("left.aside"), "{foreign}");
            assert_eq!(fs::read(path.join("left.aside/models/3.toml")).unwrap(), models()[&3]);
            assert_eq!(Folder::try_take(&path).is_ok(), server.is_none(), "{foreign}");
            fs::remove_dir_all(dir.path().join("elsewhere")).unwrap();
        }
    }
}
