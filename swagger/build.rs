//! Takes two files out of the archive of Swagger UI that a crate carries, and compresses each for `src/lib.rs` to
//! include. Nothing is downloaded. The compressed files are not in git: they are made where the program is built.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::bufread::DeflateDecoder;
use flate2::write::GzEncoder;
use rawzip::{CompressionMethod, ZipArchive, ZipSliceArchive};
use sha2::Digest as _;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

/// The name of each constant and the file it is made of. The rest of the archive is for other ways to build pages.
const FILES: [(&str, &str); 2] = [("BUNDLE", "swagger-ui-bundle.js"), ("STYLE", "swagger-ui.css")];

/// Bytes of a file's text at most: three times what they are.
const FILE_BYTES_MAX: u64 = 6 << 20;

/// Of 11: the last two steps take 13 of 15 seconds of a build and save a tenth of the bytes.
const QUALITY: u32 = 9;

/// The window that covers a whole file, as a power of two.
const WINDOW: u32 = 22;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo tells a build script where to write by a variable"
    )]
    let folder = env::var("OUT_DIR")?;
    let folder = Path::new(&folder);
    let archive = ZipArchive::from_slice(SWAGGER_UI_VENDORED)?;
    let mut constants = String::new();
    for (constant, file) in FILES {
        let text = read(&archive, file)?;
        fs::write(folder.join(file), &text)?;
        fs::write(folder.join(format!("{file}.br")), brotli(&text)?)?;
        fs::write(folder.join(format!("{file}.gz")), gzip(&text)?)?;
        let digest = sha2::Sha256::digest(&text);
        let digest = digest[..8]
            .iter()
            .fold(String::new(), |digest, byte| digest + &format!("{byte:02x}"));
        writeln!(
            constants,
            "/// `{file}`\npub const {constant}: Asset = Asset {{\n\
             brotli: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}.br\")),\n\
             gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}.gz\")),\n\
             text: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\")),\n\
             digest: \"{digest}\",\n}};"
        )?;
    }
    fs::write(folder.join("assets.rs"), constants)?;
    Ok(())
}

fn read(archive: &ZipSliceArchive<&[u8]>, file: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let ending = format!("/dist/{file}");
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry()? {
        let path = entry.file_path();
        let path = path.try_normalize()?;
        // The archive holds the packages of other projects too, each with a folder of this name.
        if !path.as_ref().ends_with(&ending) || path.as_ref().matches('/').count() != 2 {
            continue;
        }
        if entry.compression_method() != CompressionMethod::DEFLATE {
            return Err(format!("{ending} is not deflated").into());
        }
        let entry = archive.get_entry(entry.wayfinder())?;
        let mut text = Vec::new();
        entry
            .verifying_reader(DeflateDecoder::new(entry.data()))
            .take(FILE_BYTES_MAX)
            .read_to_end(&mut text)?;
        // Browsers would ask for the map, which is larger than all the rest.
        let map = b"# sourceMappingURL=";
        if let Some(at) = text.windows(map.len()).rposition(|bytes| bytes == map) {
            text.truncate(at.saturating_sub(2));
        }
        return Ok(text);
    }
    Err(format!("the archive of Swagger UI has no {ending}").into())
}

fn brotli(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 1 << 16, QUALITY, WINDOW);
    encoder.write_all(text)?;
    encoder.flush()?;
    Ok(encoder.into_inner())
}

fn gzip(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text)?;
    encoder.finish()
}
