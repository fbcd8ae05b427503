//! `sextant plugin new`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::Error;
use sextant_check::template::{self, Language, SourceName};
use sextant_guidance::file_name;

#[derive(Args)]
pub struct NewArgs {
    /// Name of the source in recipes: lower-case letters, digits and `-`.
    name: String,
    /// Language to write it in.
    #[arg(long, value_enum, default_value = "rust")]
    lang: Lang,
    /// Make the folder NAME in this one.
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Lang {
    Rust,
    C,
}

/// Writes the project, and says what to do with it.
pub fn new(args: NewArgs) -> Result<(), Error> {
    let name = SourceName::new(&args.name)?;
    let folder = args.path.join(name.kebab());
    let (language, build, built) = match args.lang {
        Lang::Rust => (Language::Rust, "cargo build --release", "target/release"),
        Lang::C => (Language::C, "make", "build"),
    };
    template::write(&template::files(language, &name), &folder)?;
    let shown = folder.strip_prefix(".").unwrap_or(&folder).display();
    let library = format!("./{built}/{}", file_name(name.kebab()));
    println!(
        "{shown}: a source of guidance; its README.md tells what is what\n\n\
         build    cd {shown} && {build}\n\
         look     sextant plugin info {library}\n\
         check    sextant plugin check {library}\n\
         train    sextant train recipe.toml --plugin-dir {built}\n\
         compare  sextant compare recipe.toml --plugin-dir {built}"
    );
    Ok(())
}
