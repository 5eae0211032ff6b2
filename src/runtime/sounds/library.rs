//! Decoded sound, kept as long as there is room.
//!
//! A clip is decoded once for each rate and shared by all who hear it. The library keeps a handle of each while others
//! have one, so that a clip is never freed on a worker's thread; what nobody plays goes, the least recently used first, when there
//! is more than `cache_mib`. Where all that is kept is played, a further sound is not to be had. A file that has changed is
//! decoded anew, and its old clip kept until nobody plays it.

use super::decode::decode;
use super::search::{Stamp, announcement, music_in};
use crate::codec::tone::{Indication, LEVEL_DBM0, RENDER_SECONDS_MAX, Rendered, Tone, country};
use crate::config::Location;
use crate::config::settings::{MUSIC_CLASS_DEFAULT, MusicClass, MusicSort, MusicSource, Sounds};
use crate::control::sounds::{Sound, SoundAnswer, SoundQuestion, Track};
use crate::link::{Clip, ClipHandle, PlayMode, Rate};
use rustc_hash::{FxHashMap, FxHashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest music of a class, in seconds: half an hour, 28.8 MB at 8 kHz. What is left of its files is left out.
const MUSIC_SECONDS_MAX: usize = 1800;
/// Longest announcement, in seconds: longer ones are cut off.
const ANNOUNCEMENT_SECONDS_MAX: usize = 1800;
/// Where Debian's `asterisk-moh-opsound-*` are: the music of the class `default`, if no other is configured.
const MUSIC_DEFAULT: &str = "/usr/share/asterisk/moh";
/// Names that are told once; when there are more, they are told again.
const TOLD_MAX: usize = 1024;

/// See the module's comment.
#[derive(Default)]
pub(super) struct Library {
    kept: FxHashMap<Key, Kept>,
    /// Clips of files that have changed, while they are played.
    outdated: Vec<ClipHandle>,
    /// Counts uses.
    uses: u64,
    /// What was said to be missing.
    told: FxHashSet<String>,
    random: fastrand::Rng,
}

/// Which clip.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    origin: Origin,
    rate: Rate,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Origin {
    File(PathBuf),
    Music(String),
    /// Zone, tone, and whether it is what is repeated of it.
    Tone(String, String, bool),
}

struct Kept {
    clip: ClipHandle,
    /// Its files.
    stamps: Vec<Stamp>,
    used: u64,
}

impl Library {
    /// What was asked for, as far as it can be had.
    pub(super) fn answer(&mut self, question: &SoundQuestion) -> SoundAnswer {
        let mut answer = SoundAnswer {
            asker: question.asker,
            tracks: Vec::new(),
            missing: 0,
        };
        for sound in &question.sounds {
            match self.tracks(question, sound) {
                Ok(tracks) => answer.tracks.extend(tracks),
                Err(why) => {
                    answer.missing += 1;
                    self.tell(sound, &why);
                }
            }
        }
        answer
    }

    fn tracks(&mut self, question: &SoundQuestion, sound: &Sound) -> Result<Vec<Track>, String> {
        let (library, rate) = (&*question.library, question.rate);
        let (clip, mode) = match sound {
            Sound::File(name) => {
                let found = announcement(&library.directory, &question.language, name, rate);
                (self.first_of(library, &found, rate)?, PlayMode::Once)
            }
            Sound::Music(class) => (self.music(library, class, rate)?, PlayMode::Shared),
            Sound::Tone { zone, tone } => return self.tone(library, (zone, tone), rate),
        };
        Ok(vec![Track { clip, mode }])
    }

    /// A tone: its beginning, if that is not repeated, and its cadence.
    fn tone(
        &mut self,
        library: &Sounds,
        (zone, name): (&str, &str),
        rate: Rate,
    ) -> Result<Vec<Track>, String> {
        let key = |mode| Key {
            origin: Origin::Tone(zone.to_owned(), name.to_owned(), mode == PlayMode::Loop),
            rate,
        };
        let modes = [PlayMode::Once, PlayMode::Loop];
        let found = modes.map(|mode| (self.find(&key(mode), &[]), mode));
        let mut tracks: Vec<Track> = found
            .into_iter()
            .filter_map(|(clip, mode)| Some(Track { clip: clip?, mode }))
            .collect();
        if !tracks.is_empty() {
            return Ok(tracks);
        }
        let rendered = rendered(zone, name, rate)?;
        for (samples, mode) in [rendered.beginning, rendered.cycle].into_iter().zip(modes) {
            if !samples.is_empty() {
                let clip = self.keep(library, key(mode), Vec::new(), samples)?;
                tracks.push(Track { clip, mode });
            }
        }
        Ok(tracks)
    }

    /// The first of these files that can be read.
    fn first_of(
        &mut self,
        library: &Sounds,
        found: &[Stamp],
        rate: Rate,
    ) -> Result<ClipHandle, String> {
        let mut why = format!(
            "no such file below {} in this language",
            library.directory.display()
        );
        for stamp in found {
            let key = Key {
                origin: Origin::File(stamp.path.clone()),
                rate,
            };
            let stamps = std::slice::from_ref(stamp);
            if let Some(clip) = self.find(&key, stamps) {
                return Ok(clip);
            }
            match decode(stamp, rate, ANNOUNCEMENT_SECONDS_MAX) {
                Ok(samples) => return self.keep(library, key, stamps.to_vec(), samples),
                Err(error) => why = format!("{}: {error}", stamp.path.display()),
            }
        }
        Err(why)
    }

    fn music(&mut self, library: &Sounds, name: &str, rate: Rate) -> Result<ClipHandle, String> {
        let stock;
        let class = match library.music.get(name) {
            Some(class) => class,
            None if name == MUSIC_CLASS_DEFAULT && Path::new(MUSIC_DEFAULT).is_dir() => {
                stock = MusicClass {
                    location: Location::default(),
                    source: MusicSource::Directory(PathBuf::from(MUSIC_DEFAULT)),
                    sort: MusicSort::Alphabetical,
                };
                &stock
            }
            None => return Err(String::from("no such class")),
        };
        let mut stamps = music_files(library, class, rate);
        let key = Key {
            origin: Origin::Music(name.to_owned()),
            rate,
        };
        if let Some(clip) = self.find(&key, &stamps) {
            return Ok(clip);
        }
        let sorted = stamps.clone();
        if class.sort == MusicSort::Random {
            self.random.shuffle(&mut stamps);
        }
        let mut samples = Vec::new();
        for stamp in &stamps {
            let left = MUSIC_SECONDS_MAX.saturating_sub(samples.len() / rate.hz() as usize);
            match decode(stamp, rate, left) {
                Ok(piece) => samples.extend(piece),
                Err(error) => {
                    tracing::warn!(file = %stamp.path.display(), error, "not played");
                }
            }
        }
        if samples.is_empty() {
            return Err(String::from("it has no file that can be played"));
        }
        self.keep(library, key, sorted, samples)
    }

    /// The clip, if its files are as they were.
    fn find(&mut self, key: &Key, stamps: &[Stamp]) -> Option<ClipHandle> {
        self.uses += 1;
        let kept = self.kept.get_mut(key)?;
        if kept.stamps == stamps {
            kept.used = self.uses;
            return Some(kept.clip.clone());
        }
        let outdated = self.kept.remove(key)?;
        self.outdated.push(outdated.clip);
        None
    }

    fn keep(
        &mut self,
        library: &Sounds,
        key: Key,
        stamps: Vec<Stamp>,
        samples: Vec<i16>,
    ) -> Result<ClipHandle, String> {
        let room = library.cache_mib as usize * (1 << 20);
        let wanted = size_of_val(&samples[..]);
        self.outdated.retain(|clip| !is_idle(clip));
        while self.bytes() + wanted > room {
            let idle = self.kept.iter().filter(|(_, kept)| is_idle(&kept.clip));
            let oldest = idle.min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                return Err(format!(
                    "no room for it beside all that is played now; raise sounds.cache_mib ({})",
                    library.cache_mib
                ));
            };
            self.kept.remove(&oldest);
        }
        let clip = ClipHandle(Arc::new(Clip {
            rate: key.rate,
            samples: samples.into_boxed_slice(),
        }));
        let kept = Kept {
            clip: clip.clone(),
            stamps,
            used: self.uses,
        };
        self.kept.insert(key, kept);
        Ok(clip)
    }

    /// Of all clips that are kept.
    fn bytes(&self) -> usize {
        let kept = self.kept.values().map(|kept| &kept.clip);
        let clips = kept.chain(&self.outdated);
        clips.map(|clip| size_of_val(&clip.0.samples[..])).sum()
    }

    /// Says once what is missing. Without any music who waits hears silence, as configured.
    fn tell(&mut self, sound: &Sound, why: &str) {
        let name = match sound {
            Sound::File(name) => name.clone(),
            Sound::Tone { tone, zone } => format!("tone {tone} of {zone}"),
            Sound::Music(class) => format!("music class {class}"),
        };
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        if self.told.insert(name.clone()) {
            match sound {
                Sound::Music(class) if class == MUSIC_CLASS_DEFAULT => {
                    tracing::info!(why, "no music on hold: who waits hears silence");
                }
                _ => tracing::warn!(sound = name, why, "not played"),
            }
        }
    }
}

/// Nobody plays it. Handles are only ever made of the one that is kept, by this thread, so one that is idle stays so.
fn is_idle(clip: &ClipHandle) -> bool {
    Arc::strong_count(&clip.0) == 1
}

/// A tone of a zone, by the name that indications.conf has for it, or as it is written.
fn rendered(zone: &str, name: &str, rate: Rate) -> Result<Rendered, String> {
    let tone = match Indication::from_name(name) {
        Some(indication) => {
            let country = country(zone).ok_or_else(|| format!("no tones of '{zone}' are known"))?;
            country.tone(indication, LEVEL_DBM0)
        }
        None => Tone::parse(name, LEVEL_DBM0).map_err(|error| error.to_string())?,
    };
    let rendered = tone.render(rate);
    rendered.ok_or_else(|| format!("a tone has {RENDER_SECONDS_MAX} seconds at most"))
}

/// The files of a class in their order.
pub(super) fn music_files(library: &Sounds, class: &MusicClass, rate: Rate) -> Vec<Stamp> {
    match &class.source {
        MusicSource::Directory(directory) => music_in(directory, rate),
        MusicSource::Files(names) => names
            .iter()
            .filter_map(|name| {
                let found = announcement(&library.directory, &library.language, name, rate);
                found.into_iter().next()
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::sounds::Asker;
    use crate::link::{LegId, RtpPort};
    use std::fs;

    /// A WAV file of so many samples at 8 kHz, all of this value.
    fn wav(samples: usize, value: i16) -> Vec<u8> {
        let bytes = samples as u32 * 2;
        let mut file = b"RIFF".to_vec();
        file.extend((36 + bytes).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        file.extend(8_000_u32.to_le_bytes());
        file.extend(16_000_u32.to_le_bytes());
        file.extend(b"\x02\0\x10\0data");
        file.extend(bytes.to_le_bytes());
        (0..samples).for_each(|_| file.extend(value.to_le_bytes()));
        file
    }

    /// A library with room for 1 MiB, and its directory.
    struct Shelf {
        root: tempfile::TempDir,
        sounds: Arc<Sounds>,
        library: Library,
    }

    impl Shelf {
        fn new(music: &[(&str, MusicClass)]) -> Shelf {
            let root = tempfile::tempdir().expect("a directory");
            let music = music.iter();
            let sounds = Sounds {
                directory: root.path().to_owned(),
                language: "en".into(),
                tone_zone: "us".into(),
                cache_mib: 1,
                music: music
                    .map(|(name, class)| ((*name).to_owned(), class.clone()))
                    .collect(),
            };
            Shelf {
                root,
                sounds: Arc::new(sounds),
                library: Library::default(),
            }
        }

        fn put(&self, name: &str, samples: usize, value: i16) {
            let path = self.root.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            fs::write(path, wav(samples, value)).expect("written");
        }

        fn ask(&mut self, sound: Sound) -> Option<Track> {
            let port = RtpPort::new(20_000).expect("even");
            let question = SoundQuestion {
                asker: Asker {
                    leg: LegId {
                        port,
                        generation: 0,
                    },
                    number: 1,
                },
                sounds: vec![sound],
                language: "en".into(),
                rate: Rate::Narrow,
                library: Arc::clone(&self.sounds),
            };
            let mut answer = self.library.answer(&question);
            assert_eq!(answer.tracks.len() + answer.missing, 1);
            answer.tracks.pop()
        }

        fn file(&mut self, name: &str) -> Option<ClipHandle> {
            let track = self.ask(Sound::File(name.into()))?;
            assert_eq!(track.mode, PlayMode::Once);
            Some(track.clip)
        }
    }

    #[test]
    fn a_file_is_decoded_once_and_again_when_it_has_changed() {
        let mut shelf = Shelf::new(&[]);
        shelf.put("en/a.wav", 100, 5);
        let first = shelf.file("a").expect("it is there");
        assert_eq!(first.0.samples[..], [5; 100]);
        assert_eq!(shelf.file("a"), Some(first.clone()));
        shelf.put("en/a.wav", 101, 6);
        let second = shelf.file("a").expect("it is there");
        assert_eq!(second.0.samples[..], [6; 101]);
        assert_eq!(
            Arc::strong_count(&first.0),
            2,
            "the library keeps what is played"
        );
        assert_eq!(shelf.file("b"), None);
    }

    #[test]
    fn what_nobody_plays_makes_room_the_oldest_first() {
        let mut shelf = Shelf::new(&[]);
        // Each 600 KB of the 1 MiB.
        for name in ["a", "b", "c"] {
            shelf.put(&format!("en/{name}.wav"), 300_000, 1);
        }
        let a = shelf.file("a").expect("there is room");
        assert_eq!(shelf.file("b"), None, "a is played");
        let weak = Arc::downgrade(&a.0);
        drop(a);
        let b = shelf.file("b").expect("a has made room");
        assert!(weak.upgrade().is_none());
        assert_eq!(shelf.file("c"), None);
        drop(b);
        assert!(shelf.file("c").is_some());
        assert!(shelf.library.bytes() <= 1 << 20);
    }

    #[test]
    fn music_is_one_clip_of_all_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let class = MusicClass {
            location: Location::default(),
            source: MusicSource::Directory(directory.path().to_owned()),
            sort: MusicSort::Alphabetical,
        };
        let mut shelf = Shelf::new(&[("jazz", class)]);
        fs::write(directory.path().join("b.wav"), wav(2, 2)).expect("written");
        fs::write(directory.path().join("a.wav"), wav(2, 1)).expect("written");
        fs::write(directory.path().join("c.wav"), "rubbish").expect("written");
        let track = shelf.ask(Sound::Music("jazz".into())).expect("music");
        assert_eq!(track.clip.0.samples[..], [1, 1, 2, 2]);
        assert_eq!(track.mode, PlayMode::Shared);
        let again = shelf.ask(Sound::Music("jazz".into()));
        assert_eq!(again, Some(track), "all hear the same");
        assert_eq!(shelf.ask(Sound::Music("none".into())), None);
    }

    #[test]
    fn tones_are_of_the_zone_or_as_written() {
        let mut shelf = Shelf::new(&[]);
        let mut tone = |zone: &str, tone: &str| {
            shelf.ask(Sound::Tone {
                zone: zone.into(),
                tone: tone.into(),
            })
        };
        // Two seconds of ringing in six in the US, one in five in Germany.
        for (zone, samples) in [("us", 48_000), ("de", 40_000)] {
            let ring = tone(zone, "ring").expect("a tone");
            assert_eq!(ring.clip.0.samples.len(), samples, "{zone}");
            assert_eq!(ring.mode, PlayMode::Loop);
            assert_eq!(tone(zone, "ring"), Some(ring), "rendered once");
        }
        let own = tone("us", "!1000/500").expect("a tone");
        assert_eq!(
            (own.mode, own.clip.0.samples.len()),
            (PlayMode::Once, 4_000)
        );
        assert_eq!(tone("us", "nonsense"), None);
        assert_eq!(tone("xx", "busy"), None);
    }
}
