//! Takes the two files that the page of the API needs out of Swagger UI's archive, as they are in it: a ZIP
//! archive and gzip hold the same compressed stream, between other words.
//!
//! A binary bears 0.44 MB for the page so; with all of Swagger UI, uncompressed, it was 4.3 MB.

#![allow(
    clippy::disallowed_methods,
    reason = "cargo tells a build script its folder in a variable"
)]

use std::{
    env, error, fs,
    io::{Cursor, Read},
    path::Path,
};

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::{CompressionMethod, ZipArchive};

const FILES: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];
/// Of a gzip stream (RFC 1952): its magic, "deflate", no flags, no time, no level, an unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = env::var_os("OUT_DIR").ok_or("cargo gives no OUT_DIR")?;
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    // `swagger-ui-<version>/`
    let top = archive.by_index_raw(0)?.name()?.into_owned();
    for name in FILES {
        let mut file = archive.by_name_raw(format!("{top}dist/{name}").as_bytes())?;
        if file.compression() != CompressionMethod::Deflated {
            return Err(format!("{name} is compressed otherwise than gzip does").into());
        }
        let mut stream = HEADER.to_vec();
        file.read_to_end(&mut stream)?;
        stream.extend(file.crc32().to_le_bytes());
        stream.extend(u32::try_from(file.size())?.to_le_bytes());
        fs::write(Path::new(&folder).join(format!("{name}.gz")), stream)?;
    }
    Ok(())
}
