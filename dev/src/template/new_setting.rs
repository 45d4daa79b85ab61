//! `cargo dev new-setting SERVICE SECTION.KEY TYPE DEFAULT SENTENCE`.

mod kind;

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};

use self::kind::Kind;
use super::{
    addition::{Addition, Options, prepare_and_test},
    files::ends_in,
    names::{Names, check_form, is_reserved},
    parts::{Language, Piece},
    plan::Plan,
    source::{Source, edit},
    words::{Words, pascal},
};
use crate::{folder, interrupt::Interrupt, project::Project};

/// The folder of the template.
const FOLDER: &str = "setting";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Adds the key to the service's own file with its variable, the field with its bounds to config.rs, its row
to docs/settings.md, and a test. Whatever fails, nothing is left of it. For example:
  cargo dev new-setting payment-service disputes.window duration 14d \"How long a payment can be disputed.\"")]
pub(crate) struct Args {
    /// Whose setting it is: payment-service
    service: String,
    /// Where it stands, and what it is called: disputes.window
    key: String,
    /// What it holds
    kind: Kind,
    /// What it is unless somebody says otherwise: 14d
    default: String,
    /// What it is for, as one sentence
    sentence: String,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let root = project.root();
    let names = Names::of_service(project, &args.service)?;
    let setting = Setting::new(&names, args)?;
    let what = format!("{} [{}] {}", names.service, setting.section, setting.key);
    let file = Plan::of(root).existing(&setting.file)?;
    if Language::Tsk.has_at(&file, &[&setting.section, &setting.key])? {
        println!("{what} is already there");
        return Ok(ExitCode::SUCCESS);
    }
    setting.check_free(root, &file)?;
    let Setting { section, key, variable, .. } = &setting;
    let [good, bad] = setting.kind.examples(&setting.default);
    let forms = [
        ("[topic] key", format!("[{section}] {key}")),
        ("topic_key", format!("{section}_{key}")),
        ("topic_word", key.clone()),
        ("TOPIC_KEY", variable.clone()),
        ("TOPIC_GOOD", good),
        ("TOPIC_BAD", bad),
    ];
    let words = Words::of_service(&names).and(forms, true);
    let addition = Addition::new(project, &[FOLDER], &words, &[])?;
    let addition = addition.with(|plan| {
        setting.add_to_file(plan)?;
        setting.add_to_struct(plan)
    })?;
    let service = &names.service;
    let next = [
        format!("{}: its bounds, in `check`", setting.config),
        format!("services/{service}/src/app.rs: hand it to what needs it"),
        format!("k8s: nothing, as long as the default will do; else {}", setting.variable),
        prepare_and_test(service),
    ];
    addition.make(&what, &names, &args.options, &[], &next, interrupt)
}

/// A setting to add.
struct Setting {
    section: String,
    key: String,
    kind: Kind,
    /// As the file has it.
    default: String,
    sentence: String,
    variable: String,
    /// `config/payment-service.tsk`.
    file: String,
    /// `services/payment-service/src/config.rs`.
    config: String,
}

impl Setting {
    fn new(names: &Names, args: &Args) -> Result<Self> {
        let (section, key) = args.key.split_once('.').with_context(|| {
            format!("`{}` names no section: write it as disputes.window", args.key)
        })?;
        for (what, word) in [("a section", section), ("a key", key)] {
            check_form(what, &word.replace('_', "-"))?;
            ensure!(!word.contains('-'), "{what} is written `{}`", word.replace('-', "_"));
            ensure!(!is_reserved(word), "`{word}` cannot name a field in Rust: choose another");
        }
        let sentence = args.sentence.trim();
        let is_sentence = sentence.ends_with('.') && !sentence.chars().any(char::is_control);
        ensure!(is_sentence, "what it is for is one sentence, with a full stop: `{sentence}`");
        Ok(Self {
            section: section.to_owned(),
            key: key.to_owned(),
            kind: args.kind,
            default: args.kind.checked(&args.default)?,
            sentence: sentence.to_owned(),
            variable: format!("{section}_{key}").to_uppercase(),
            file: format!("config/{}.tsk", names.service),
            config: format!("services/{}/src/config.rs", names.service),
        })
    }

    /// Fails when the section is another's, or something else is called so.
    fn check_free(&self, root: &Path, file: &str) -> Result<()> {
        let section = &self.section;
        let variable = &self.variable;
        let config = Plan::of(root).existing(&self.config)?;
        let fields = Source(config).fields("Settings")?;
        let is_there = Language::Tsk.has_at(file, &[section])?;
        ensure!(
            !is_there || fields.contains(section),
            "[{section}] is read by a crate that services share: add `{}` there, by hand",
            self.key
        );
        let folded = |text: &str| text.replace('_', "");
        let mut keys = Language::Tsk.names_at(file, &[section])?.into_iter();
        if let Some(other) = keys.find(|other| folded(other) == folded(&self.key)) {
            bail!("[{section}] has a `{other}` already: `{}` would be too like it", self.key);
        }
        if let Some(other) =
            fields.iter().find(|other| *other != section && folded(other) == folded(section))
        {
            bail!("there is a [{other}] already: `{section}` would be too like it");
        }
        for name in folder::names(&root.join("config")) {
            let is_ours = self.file.ends_with(&name);
            if !ends_in(&name, "tsk") || !is_ours && name.ends_with("-service.tsk") {
                continue;
            }
            let text = fs::read_to_string(root.join("config").join(&name))
                .with_context(|| format!("read {name}"))?;
            ensure!(
                is_ours || !Language::Tsk.has_at(&text, &[section])?,
                "config/{name} has a [{section}]: choose another section"
            );
            ensure!(
                !text.contains(&format!("(\"{variable}\"")),
                "config/{name} reads {variable} for something else: choose another name"
            );
        }
        Ok(())
    }

    /// In the file.
    fn add_to_file(&self, plan: &mut Plan) -> Result<()> {
        let text = plan.existing(&self.file)?;
        let section = &self.section;
        let key = &self.key;
        let line = format!(
            "# {}\n{key}: @env(\"{}\", {})\n",
            self.sentence,
            self.variable,
            self.kind.in_file(&self.default)
        );
        let text = if Language::Tsk.has_at(&text, &[section])? {
            Language::Tsk.add(&text, &Piece::new(&[section], key, &line))?
        } else {
            format!("{}\n\n[{section}]\n{line}", text.trim_end())
        };
        plan.set(&self.file, Some(text))
    }

    /// In the struct, with its bounds.
    fn add_to_struct(&self, plan: &mut Plan) -> Result<()> {
        let section = &self.section;
        let key = &self.key;
        let path = format!("{section}.{key}");
        let field = format!("/// {}\npub {key}: {}", self.sentence, self.kind.rust());
        let check = self.kind.check(&path, key, &self.default);
        edit(plan, &self.config, |source| {
            let kind = match source.type_of("Settings", section)? {
                Some(kind) => {
                    source.add_field(&kind, &field).with_context(|| {
                        format!("[{section}] is not read in this file: add `{key}` by hand")
                    })?;
                    ensure!(
                        !source.is_marked(&kind, "try_from"),
                        "`{kind}` is made of another struct: add `{key}` by hand"
                    );
                    kind
                }
                None => self.begin_section(source, &field)?,
            };
            let Some(check) = check else { return Ok(()) };
            if source.has_method(&kind, "check")? {
                return source.extend_check(&kind, &check);
            }
            let method = format!(
                "\nimpl {kind} {{\nfn check(&self) -> Vec<ValidationError> {{\nVec::from_iter({check})\n}}\n}}\n"
            );
            source.0 += &method;
            source.extend_check("Settings", &format!("self.{section}.check()"))
        })?;
        edit(plan, &self.config, |source| {
            self.kind.import().map_or(Ok(()), |needed| source.import(needed))
        })
    }

    /// A struct for the section, and its place; gives its name.
    fn begin_section(&self, source: &mut Source, field: &str) -> Result<String> {
        let section = &self.section;
        let kind = format!("{}Settings", pascal(&section.replace('_', "-")));
        ensure!(!source.has_struct(&kind), "`{kind}` is there already, for something else");
        let file = self.file.trim_start_matches("config/");
        let place = format!("/// `{file}`: section `[{section}]`.\npub {section}: {kind}");
        source.add_field("Settings", &place)?;
        let begun = format!(
            "\n/// Section `[{section}]`.\n#[derive(Debug, Clone, Deserialize)]\npub struct {kind} {{\n{field},\n}}\n"
        );
        source.0 += &begun;
        Ok(kind)
    }
}
