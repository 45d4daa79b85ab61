//! The table of this tool's commands, from the definitions by which it reads its command line.

use clap::{Arg, ArgAction, Command, builder::PossibleValue};

/// Flags that many commands have; the document explains them once.
const COMMON: [&str; 5] = ["help", "namespace", "yes", "no-install", "offline"];

/// How many values of an argument are listed; of more, their name stands for them.
const CHOICES_MAX: usize = 7;

/// A row for each command, with its arguments; a command with subcommands has a row for each.
pub(super) fn table(mut tool: Command) -> String {
    tool.build();
    let mut table = "| command | does |\n|---|---|\n".to_owned();
    for command in shown(&tool) {
        add(&mut table, "", command);
    }
    table
}

/// The subcommands that people give.
fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
}

fn add(table: &mut String, parents: &str, command: &Command) {
    let path = format!("{parents}{}", command.get_name());
    let mut arguments: Vec<_> = command.get_arguments().filter(|arg| !is_common(arg)).collect();
    arguments.sort_by_key(|arg| (arg.is_last_set(), !arg.is_positional()));
    let words = arguments.into_iter().map(synopsis);
    let line: Vec<String> = std::iter::once(path.clone()).chain(words).collect();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let row = format!("| `{}` | {about} |\n", line.join(" ").replace('|', "\\|"));
    if !command.is_subcommand_required_set() {
        table.push_str(&row);
    }
    for inner in shown(command) {
        add(table, &format!("{path} "), inner);
    }
}

fn is_common(arg: &Arg) -> bool {
    arg.is_hide_set() || arg.get_long().is_some_and(|long| COMMON.contains(&long))
}

/// `NAME`, `[NAME…]`, `[--trace ID]`, `[--debugger gdb|lldb|wait]`, `[-- ARG…]`
fn synopsis(arg: &Arg) -> String {
    let flag = arg.get_long().map(|long| format!("--{long}"));
    let mut words: Vec<String> = flag.into_iter().collect();
    if arg.get_action().takes_values() {
        let choices = arg.get_possible_values();
        let names = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string);
        let value = if choices.is_empty() || choices.len() > CHOICES_MAX {
            names.collect::<Vec<_>>().join(" ")
        } else {
            choices.iter().map(PossibleValue::get_name).collect::<Vec<_>>().join("|")
        };
        let is_many = arg.get_num_args().is_some_and(|count| count.max_values() > 1)
            || matches!(arg.get_action(), ArgAction::Append);
        words.push(if is_many { value + "…" } else { value });
    }
    if arg.is_last_set() {
        words.insert(0, "--".to_owned());
    }
    let word = words.join(" ");
    if arg.is_required_set() { word } else { format!("[{word}]") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_a_command_takes() {
        let tool = Command::new("tool")
            .subcommand(
                Command::new("see")
                    .about("Shows it")
                    .arg(Arg::new("name").value_name("NAME").required(true))
                    .arg(Arg::new("how").long("how").value_parser(["near", "far"]))
                    .arg(Arg::new("yes").long("yes").action(ArgAction::SetTrue))
                    .arg(Arg::new("rest").value_name("ARG").num_args(0..).last(true)),
            )
            .subcommand(
                Command::new("do")
                    .subcommand_required(true)
                    .subcommand(Command::new("one").about("Does one")),
            );
        let expected = "| command | does |\n|---|---|\n\
            | `see NAME [--how near\\|far] [-- ARG…]` | Shows it |\n\
            | `do one` | Does one |\n";
        assert_eq!(table(tool), expected);
    }
}
