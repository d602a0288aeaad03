//! Converts media that their target cannot show as they are: pictures here, sounds and films by `ffmpeg` where it is
//! installed.
//!
//! Both read what strangers made. A picture's size is read from its header before a pixel is decoded. `ffmpeg` runs
//! with the input's format forced to what its bytes say, without network protocols, with an empty environment, from and
//! to files that have no name, for a limited time and a limited output. What fails costs the conversion: the medium then
//! takes its next way.

use super::fetch::FetchError;
use super::spool::{Spool, Spooled};
use image::imageops::{FilterType, overlay};
use image::{DynamicImage, ImageFormat, ImageReader, Limits, RgbaImage};
use interline_relay::{Conversion, Conversions};
use std::ffi::OsString;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::Semaphore;

/// The most pixels that are decoded: 8 million take 32 MB.
const PIXELS_MAX: u64 = 8_000_000;
/// The most memory that a decoder of pictures may ask for.
const PICTURE_ALLOC_MAX: u64 = 64 * 1024 * 1024;
/// Stickers of WhatsApp are of this size.
const STICKER_SIDE: u32 = 512;
/// How long `ffmpeg` may take.
const FFMPEG_TIME_MAX: Duration = Duration::from_secs(60);
/// How many of them run at once.
const FFMPEG_AT_ONCE: usize = 2;
/// The largest block of memory that it may ask for, in bytes.
const FFMPEG_ALLOC_MAX: &str = "67108864";

/// Why there is no converted medium.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConvertError {
    #[error("the conversion failed: {0}")]
    Failed(&'static str),
    #[error(transparent)]
    Later(#[from] FetchError),
}

/// Converts, all accounts together.
#[derive(Clone, Debug)]
pub struct Converter {
    ffmpeg: Option<PathBuf>,
    ffmpeg_places: Arc<Semaphore>,
    /// One picture at a time is decoded.
    picture_place: Arc<Semaphore>,
}

impl Converter {
    /// Looks for `ffmpeg`: a path, or a name that is looked for in `PATH`; empty to do without.
    pub fn find(ffmpeg: &str) -> Self {
        Self {
            ffmpeg: find_program(ffmpeg, std::env::var_os("PATH")),
            ffmpeg_places: Arc::new(Semaphore::new(FFMPEG_AT_ONCE)),
            picture_place: Arc::new(Semaphore::new(1)),
        }
    }

    /// Where `ffmpeg` is.
    pub fn ffmpeg(&self) -> Option<&Path> {
        self.ffmpeg.as_deref()
    }

    /// What can be converted.
    pub const fn conversions(&self) -> Conversions {
        Conversions { sounds_and_films: self.ffmpeg.is_some(), ..Conversions::BUILT_IN }
    }

    /// Converts a medium. `mime`: what it is. `bytes_max`: the largest result that is of use.
    pub(super) async fn convert(
        &self,
        spool: &Spool,
        conversion: Conversion,
        medium: &Spooled,
        mime: &str,
        bytes_max: u64,
    ) -> Result<Spooled, ConvertError> {
        let room = spool.room(bytes_max, FFMPEG_TIME_MAX).await?;
        let input = medium.reopened().map_err(FetchError::Disk)?;
        let output = spool.file().map_err(FetchError::Disk)?;
        let written = output.try_clone().map_err(FetchError::Disk)?;
        match conversion {
            Conversion::Picture | Conversion::Sticker => {
                let _place = self.picture_place.acquire().await;
                let format = picture_format(mime).ok_or(ConvertError::Failed("no picture"))?;
                let drawn = tokio::task::spawn_blocking(move || {
                    redraw(&input, format, conversion, &written)
                });
                drawn.await.map_err(|_| ConvertError::Failed("the decoder panicked"))??;
            }
            Conversion::VoiceNote | Conversion::SoundFile | Conversion::Film => {
                let Some(program) = &self.ffmpeg else {
                    return Err(ConvertError::Failed("there is no ffmpeg"));
                };
                let _place = self.ffmpeg_places.acquire().await;
                let demuxer = demuxer_of(mime).ok_or(ConvertError::Failed("no sound or film"))?;
                let mut command = Command::new(program);
                command
                    .args(arguments(conversion, demuxer, bytes_max))
                    .env_clear()
                    .current_dir("/")
                    .stdin(Stdio::from(input))
                    .stdout(Stdio::from(written))
                    .stderr(Stdio::null())
                    .kill_on_drop(true);
                run(command).await?;
            }
        }
        let result = Spooled::adopt(output, room).map_err(FetchError::Disk)?;
        // At the limit `ffmpeg` stops and calls it done.
        if result.bytes() == 0 || result.bytes() >= bytes_max {
            return Err(ConvertError::Failed("the result is empty or too large"));
        }
        Ok(result)
    }
}

async fn run(mut command: Command) -> Result<(), ConvertError> {
    let mut child = command.spawn().map_err(|_| ConvertError::Failed("ffmpeg does not start"))?;
    match tokio::time::timeout(FFMPEG_TIME_MAX, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(_) => Err(ConvertError::Failed("ffmpeg refuses the file")),
        Err(_) => {
            // What is killed already is as good.
            drop(child.kill().await);
            Err(ConvertError::Failed("ffmpeg takes too long"))
        }
    }
}

fn find_program(name: &str, path: Option<OsString>) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    std::env::split_paths(&path?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn arguments(conversion: Conversion, demuxer: &str, bytes_max: u64) -> Vec<String> {
    let how = match conversion {
        Conversion::VoiceNote => {
            "-map 0:a:0 -ac 1 -ar 48000 -c:a libopus -b:a 32k -application voip -f ogg"
        }
        Conversion::SoundFile => "-map 0:a:0 -c:a aac -b:a 96k -movflags +faststart -f ipod",
        Conversion::Film => {
            "-map 0:v:0 -an -c:v libx264 -preset veryfast -pix_fmt yuv420p \
             -vf scale=trunc(iw/2)*2:trunc(ih/2)*2 -movflags +faststart -f mp4"
        }
        Conversion::Picture | Conversion::Sticker => "",
    };
    // Opened by these names, both files can be read and written at any place.
    let words = format!(
        "-nostdin -hide_banner -loglevel error -max_alloc {FFMPEG_ALLOC_MAX} \
         -protocol_whitelist file,pipe -max_pixels 16777216 -threads 1 \
         -f {demuxer} -i /proc/self/fd/0 -map_metadata -1 -threads 1 {how} -fs {bytes_max} -y /proc/self/fd/1"
    );
    words.split_whitespace().map(str::to_owned).collect()
}

fn demuxer_of(mime: &str) -> Option<&'static str> {
    Some(match mime {
        "audio/ogg" | "audio/opus" => "ogg",
        "audio/mp4" | "audio/m4a" | "audio/x-m4a" => "mov",
        "audio/aac" => "aac",
        "audio/amr" => "amr",
        "audio/mpeg" => "mp3",
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        "audio/webm" => "matroska",
        "image/gif" => "gif",
        _ => return None,
    })
}

fn picture_format(mime: &str) -> Option<ImageFormat> {
    match mime {
        "image/webp" => Some(ImageFormat::WebP),
        "image/png" => Some(ImageFormat::Png),
        _ => None,
    }
}

/// Blocks: decodes the first picture of a file and writes it in another format.
fn redraw(
    input: &std::fs::File,
    format: ImageFormat,
    conversion: Conversion,
    output: &std::fs::File,
) -> Result<(), ConvertError> {
    let picture = decoded(input, format)?;
    let (picture, format) = match conversion {
        Conversion::Sticker => (sticker(&picture), ImageFormat::WebP),
        Conversion::Picture | Conversion::VoiceNote | Conversion::SoundFile | Conversion::Film => {
            (DynamicImage::ImageRgba8(picture.into_rgba8()), ImageFormat::Png)
        }
    };
    let mut file = BufWriter::new(output);
    picture.write_to(&mut file, format).map_err(|_| ConvertError::Failed("it cannot be drawn"))?;
    file.flush().map_err(FetchError::Disk)?;
    Ok(())
}

/// The header first: what says that it is huge is not decoded, however few bytes it has.
fn decoded(mut input: &std::fs::File, format: ImageFormat) -> Result<DynamicImage, ConvertError> {
    use std::io::Seek;
    let unreadable = ConvertError::Failed("the picture cannot be read");
    let header = ImageReader::with_format(BufReader::new(input), format).into_dimensions();
    let Ok((width, height)) = header else { return Err(unreadable) };
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(ConvertError::Failed("the picture has too many pixels"));
    }
    input.rewind().map_err(FetchError::Disk)?;
    let mut reader = ImageReader::with_format(BufReader::new(input), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(PICTURE_ALLOC_MAX);
    reader.limits(limits);
    reader.decode().map_err(|_| unreadable)
}

/// Fitted into the square, with nothing around it.
fn sticker(picture: &DynamicImage) -> DynamicImage {
    let fitted = picture.resize(STICKER_SIDE, STICKER_SIDE, FilterType::Triangle).into_rgba8();
    let mut canvas = RgbaImage::new(STICKER_SIDE, STICKER_SIDE);
    let (x, y) = (STICKER_SIDE - fitted.width(), STICKER_SIDE - fitted.height());
    overlay(&mut canvas, &fitted, i64::from(x / 2), i64::from(y / 2));
    DynamicImage::ImageRgba8(canvas)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> std::fs::File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        DynamicImage::new_rgba8(width, height).write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn g9_a_picture_that_says_it_is_huge_is_not_decoded() {
        let mut bomb = png(1, 1);
        // Width and height stand behind the signature and the head of the first chunk; its checksum follows them.
        bomb[16..24].copy_from_slice(&[0, 0, 0x7f, 0xff, 0, 0, 0x7f, 0xff]);
        let checksum = bomb.split_at(12).1.split_at(17).0.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        });
        bomb[29..33].copy_from_slice(&(!checksum).to_be_bytes());
        let error = decoded(&file(&bomb), ImageFormat::Png).unwrap_err();
        assert_eq!(error.to_string(), "the conversion failed: the picture has too many pixels");
        assert!(decoded(&file(&png(20, 10)), ImageFormat::Png).is_ok());
        assert!(decoded(&file(b"RIFF"), ImageFormat::WebP).is_err());
    }

    #[test]
    fn a_sticker_is_fitted_into_its_square() {
        for (width, height) in [(1, 1), (1000, 10), (10, 1000), (512, 512)] {
            let sticker = sticker(&DynamicImage::new_rgba8(width, height));
            assert_eq!((sticker.width(), sticker.height()), (STICKER_SIDE, STICKER_SIDE));
        }
    }

    #[test]
    fn ffmpeg_is_found_where_it_is_or_not_at_all() {
        let path = || Some(OsString::from("/nonexistent:/bin"));
        assert_eq!(find_program("sh", path()), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find_program("/bin/sh", None), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find_program("/nonexistent/ffmpeg", path()), None);
        assert_eq!(find_program("", path()), None);
    }

    /// `echo` writes what it is told where the result goes.
    #[tokio::test]
    async fn g9_a_program_reads_and_writes_files_that_have_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_owned(), 1 << 20);
        let room = spool.room(8, FFMPEG_TIME_MAX).await.unwrap();
        let voice = Spooled::adopt(file(b"OggS"), room).unwrap();
        let converter = Converter::find("/bin/echo");
        let converting =
            converter.convert(&spool, Conversion::SoundFile, &voice, "audio/ogg", 4096);
        let mut told = String::new();
        let mut result = converting.await.unwrap().reopened().unwrap();
        std::io::Read::read_to_string(&mut result, &mut told).unwrap();
        assert!(
            told.contains("-i /proc/self/fd/0") && told.ends_with("/proc/self/fd/1\n"),
            "{told}"
        );
        assert!(!told.contains(folder.path().to_str().unwrap()), "{told}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn ffmpeg_gets_no_network_a_forced_format_and_a_bound() {
        let words = arguments(Conversion::VoiceNote, "ogg", 1000).join(" ");
        assert!(words.contains("-protocol_whitelist file,pipe"), "{words}");
        assert!(words.contains("-f ogg -i /proc/self/fd/0"), "{words}");
        assert!(words.contains("-fs 1000"), "{words}");
    }
}
