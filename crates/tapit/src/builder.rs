//! Programs that build images from a Dockerfile, and how each is told to: argument lists, decided without running any.
//!
//! `commands::build` runs them. No shell ever sees a word of them.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tapit_model::ImageRef;

/// The archive's name in the directory where the steps are run: relative, because a path could hold the colons and
/// commas that some of the programs split at.
pub const ARCHIVE: &str = "image.tar";

/// In the order in which they are tried: first those that need no daemon of their own or are most often set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    Buildah,
    Docker,
    Podman,
    Buildctl,
}

/// What is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub name: ImageRef,
    /// Absolute, as is the context, so that neither can be taken for a flag.
    pub dockerfile: PathBuf,
    pub context: PathBuf,
    pub options: Options,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    pub args: Vec<(String, String)>,
    pub target: Option<String>,
    pub platform: Option<String>,
    pub no_cache: bool,
}

/// One program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// After the program's own name.
    pub arguments: Vec<OsString>,
    pub stdout: Stdout,
}

/// What a step writes to its standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdout {
    Talk,
    Archive,
}

impl Builder {
    pub const ALL: [Builder; 4] = [Builder::Buildah, Builder::Docker, Builder::Podman, Builder::Buildctl];

    pub fn program(self) -> &'static str {
        match self {
            Builder::Buildah => "buildah",
            Builder::Docker => "docker",
            Builder::Podman => "podman",
            Builder::Buildctl => "buildctl",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|builder| builder.program() == word)
    }

    /// What to run to learn whether the daemon answers that it needs; `None` for one that needs none.
    pub fn probe(self) -> Option<&'static [&'static str]> {
        match self {
            Builder::Buildah | Builder::Podman => None,
            Builder::Docker => Some(&["version", "--format", "{{.Server.Version}}"]),
            Builder::Buildctl => Some(&["debug", "workers"]),
        }
    }

    /// What to run, in this order, to have the image as an archive.
    pub fn steps(self, recipe: &Recipe) -> Vec<Step> {
        let name = whole(&recipe.name);
        let talk = |arguments: Vec<OsString>| Step { arguments, stdout: Stdout::Talk };
        let archive = |arguments: &[&str]| Step {
            arguments: arguments.iter().map(OsString::from).collect(),
            stdout: Stdout::Archive,
        };
        match self {
            Builder::Buildah => {
                let destination = format!("oci-archive:{ARCHIVE}:{name}");
                let push = ["push", "--quiet", &name, &destination].map(OsString::from).into();
                // Unlike the others, buildah keeps the layers of steps for the next build only when it is told to.
                vec![talk(common(&["build", "--layers"], &name, recipe)), talk(push)]
            }
            Builder::Docker => vec![talk(common(&["build"], &name, recipe)), archive(&["save", &name])],
            Builder::Podman => {
                vec![
                    talk(common(&["build"], &name, recipe)),
                    archive(&["save", "--quiet", "--format", "oci-archive", &name]),
                ]
            }
            Builder::Buildctl => vec![Step { arguments: buildctl(&name, recipe), stdout: Stdout::Archive }],
        }
    }
}

/// The options that three of the four have in common.
fn common(verb: &[&str], name: &str, recipe: &Recipe) -> Vec<OsString> {
    let Options { args, target, platform, no_cache } = &recipe.options;
    let mut words: Vec<OsString> = verb.iter().map(OsString::from).collect();
    words.extend(["--tag", name, "--file"].map(OsString::from));
    words.push(recipe.dockerfile.clone().into());
    words.extend(args.iter().map(|(key, value)| format!("--build-arg={key}={value}").into()));
    words.extend(target.iter().map(|stage| format!("--target={stage}").into()));
    words.extend(platform.iter().map(|platform| format!("--platform={platform}").into()));
    words.extend(no_cache.then(|| "--no-cache".into()));
    words.push(recipe.context.clone().into());
    words
}

fn buildctl(name: &str, recipe: &Recipe) -> Vec<OsString> {
    let Options { args, target, platform, no_cache } = &recipe.options;
    let (directory, file) = (recipe.dockerfile.parent(), recipe.dockerfile.file_name());
    let joined = |prefix: &str, rest: &OsStr| {
        let mut word = OsString::from(prefix);
        word.push(rest);
        word
    };
    let mut words: Vec<OsString> = ["build", "--frontend", "dockerfile.v0"].map(OsString::from).into();
    words.push(joined("--local=context=", recipe.context.as_os_str()));
    words.push(joined("--local=dockerfile=", directory.unwrap_or(Path::new("/")).as_os_str()));
    words.push(joined("--opt=filename=", file.unwrap_or(OsStr::new("Dockerfile"))));
    words.extend(args.iter().map(|(key, value)| format!("--opt=build-arg:{key}={value}").into()));
    words.extend(target.iter().map(|stage| format!("--opt=target={stage}").into()));
    words.extend(platform.iter().map(|platform| format!("--opt=platform={platform}").into()));
    words.extend(no_cache.then(|| "--no-cache".into()));
    words.push(format!("--output=type=docker,name={name}").into());
    words
}

/// The name with its registry, which some of the programs would otherwise guess.
fn whole(name: &ImageRef) -> String {
    let tag = name.tag().unwrap_or("latest");
    format!("{}/{}:{tag}", name.registry(), name.repository())
}

/// The name of an app's next image: that of its present image with another tag, or the app's own.
pub fn next_name(app: &str, present: Option<&ImageRef>, tag: &str) -> Option<ImageRef> {
    let name = match present {
        Some(image) => format!("{}/{}:{tag}", image.registry(), image.repository()),
        None => format!("{app}:{tag}"),
    };
    ImageRef::parse(&name).ok()
}

/// Where a program is on the search path. Relative directories in it are no place to start programs from.
pub fn locate(program: &str, search: &str) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    let directories = std::env::split_paths(search).filter(|directory| directory.is_absolute());
    directories.map(|directory| directory.join(program)).find(executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            name: ImageRef::parse("shop:v2").expect("a name"),
            dockerfile: "/src/web/Dockerfile".into(),
            context: "/src/web".into(),
            options: Options {
                args: vec![("A".to_owned(), "1 $(x); --b".to_owned()), ("B".to_owned(), String::new())],
                target: Some("run".to_owned()),
                platform: Some("linux/arm64".to_owned()),
                no_cache: true,
            },
        }
    }

    fn lines(builder: Builder, recipe: &Recipe) -> Vec<String> {
        let line = |step: &Step| {
            let words: Vec<_> = step.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            let to = if step.stdout == Stdout::Archive { "\n>" } else { "" };
            format!("{}{to}", words.join("\n"))
        };
        builder.steps(recipe).iter().map(line).collect()
    }

    #[test]
    fn every_value_is_one_argument_whatever_it_holds() {
        let build = "build\n--tag\ndocker.io/library/shop:v2\n--file\n/src/web/Dockerfile\n--build-arg=A=1 $(x); --b\n\
                     --build-arg=B=\n--target=run\n--platform=linux/arm64\n--no-cache\n/src/web";
        assert_eq!(lines(Builder::Docker, &recipe()), [build, "save\ndocker.io/library/shop:v2\n>"]);
        assert_eq!(lines(Builder::Podman, &recipe())[0], build);
        assert_eq!(lines(Builder::Buildah, &recipe())[0], build.replacen("build\n", "build\n--layers\n", 1));
        assert_eq!(
            lines(Builder::Buildah, &recipe())[1],
            "push\n--quiet\ndocker.io/library/shop:v2\noci-archive:image.tar:docker.io/library/shop:v2"
        );
        assert_eq!(
            lines(Builder::Buildctl, &recipe()),
            ["build\n--frontend\ndockerfile.v0\n--local=context=/src/web\n--local=dockerfile=/src/web\n\
              --opt=filename=Dockerfile\n--opt=build-arg:A=1 $(x); --b\n--opt=build-arg:B=\n--opt=target=run\n\
              --opt=platform=linux/arm64\n--no-cache\n--output=type=docker,name=docker.io/library/shop:v2\n>"]
        );
    }

    #[test]
    fn the_next_image_of_an_app_keeps_registry_and_repository() {
        for (present, expected) in [
            (None, "shop:v2"),
            (Some("web"), "web:v2"),
            (Some("ghcr.io/me/web:v1"), "ghcr.io/me/web:v2"),
            (Some("127.0.0.1:5000/web"), "127.0.0.1:5000/web:v2"),
        ] {
            let present = present.map(|name| ImageRef::parse(name).expect("a name"));
            assert_eq!(next_name("shop", present.as_ref(), "v2").expect("a name").to_string(), expected);
        }
        let pinned = format!("a/b@sha256:{}", "0".repeat(64));
        let pinned = ImageRef::parse(&pinned).expect("a name");
        assert_eq!(next_name("shop", Some(&pinned), "v2").expect("a name").to_string(), "a/b:v2");
    }

    #[test]
    fn a_program_is_found_only_where_it_can_be_run() {
        let home = tempfile::tempdir().expect("a directory");
        let place = |name: &str, mode: u32| {
            let directory = home.path().join(name);
            std::fs::create_dir_all(&directory).expect("a directory");
            let file = directory.join("docker");
            std::fs::write(&file, "").expect("a file");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("its mode");
            directory
        };
        let (data, program) = (place("data", 0o644), place("bin", 0o755));
        std::fs::create_dir_all(home.path().join("directory/docker")).expect("a directory");
        let search = |directories: &[&Path]| {
            let joined = std::env::join_paths(directories).expect("a search path");
            locate("docker", &joined.to_string_lossy())
        };
        let directory = home.path().join("directory");
        assert_eq!(search(&[&directory, &data, &program]), Some(program.join("docker")));
        assert_eq!(search(&[&directory, &data, Path::new("."), Path::new("")]), None);
    }
}
