/** `passmanager completion`: completion scripts for shells, made from the commands that there are. */
import { Argument, Command } from 'commander';
import type { CliContext } from '../context.ts';

/** What can follow after some words of a command line. */
interface Place {
  /** The commands so far, without the program's name. */
  readonly path: readonly string[];
  /** Names of commands and flags, each with what it does. */
  readonly words: readonly { readonly name: string; readonly description: string }[];
}

const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** The command. `program`: what is completed. */
export function completionCommand(context: CliContext, program: Command): Command {
  return new Command('completion')
    .description('print the completion script of a shell')
    .addArgument(new Argument('<shell>', 'which one').choices(SHELLS))
    .addHelpText('after', '\nExample: passmanager completion bash > /etc/bash_completion.d/passmanager')
    .action((shell: Shell) => context.terminal.say(completionScript(program, shell).trimEnd()));
}

/** A script that `shell` sources. */
export function completionScript(program: Command, shell: Shell): string {
  const places = placesOf(program, []);
  return { bash, zsh, fish }[shell](program.name(), places);
}

function placesOf(command: Command, path: readonly string[]): Place[] {
  const help = command.createHelp();
  const words = [
    ...help.visibleCommands(command).map((each) => ({ name: each.name(), description: each.description() })),
    ...help
      .visibleOptions(command)
      .map(({ long, short, description }) => ({ name: (long ?? short)!, description })),
  ];
  return [{ path, words }, ...command.commands.flatMap((each) => placesOf(each, [...path, each.name()]))];
}

const single = (text: string): string => text.replaceAll("'", '’');

/** The branches of a `case` over the commands so far; flags among them do not count. */
const cases = (places: readonly Place[], line: (place: Place) => string): string =>
  places.map((place) => `    '${place.path.join(' ')}') ${line(place)} ;;`).join('\n');

function bash(name: string, places: readonly Place[]): string {
  return `_${name}() {
  local path='' word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [[ $word == -* ]] || path="\${path:+$path }$word"
  done
  local words=''
  case "$path" in
${cases(places, ({ words }) => `words='${words.map((word) => word.name).join(' ')}'`)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _${name} ${name}
`;
}

function zsh(name: string, places: readonly Place[]): string {
  const described = ({ words }: Place): string =>
    words.map((word) => `'${word.name}:${single(word.description).replaceAll(':', '\\:')}'`).join(' ');
  return `#compdef ${name}
_${name}() {
  local -a found
  local path_='' word
  for word in \${words[2,CURRENT-1]}; do
    [[ $word == -* ]] || path_="\${path_:+$path_ }$word"
  done
  case "$path_" in
${cases(places, (place) => `found=(${described(place)})`)}
  esac
  _describe '${name}' found || _files
}
compdef _${name} ${name}
`;
}

function fish(name: string, places: readonly Place[]): string {
  const lines = places.flatMap(({ path, words }) =>
    words.map(({ name: word, description }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`;
      return `complete -c ${name} -n "test (__${name}_path) = '${path.join(' ')}'" ${what} -d '${single(description)}'`;
    }),
  );
  return `function __${name}_path
  set -l words (commandline -opc)
  set -e words[1]
  string join ' ' -- (string match -v -- '-*' $words)
  or echo ''
end
${lines.join('\n')}
`;
}
