/** `passmanager completion`: completion scripts for shells, made from the commands that there are. */
import { Argument, Command, type Option } from 'commander';
import type { CliContext } from '../context.ts';

/** What can follow after some words of a command line. */
interface Place {
  /** The commands so far, without the program's name. */
  readonly path: readonly string[];
  /** Names of commands, values of arguments and flags, each with what it does. */
  readonly words: readonly Word[];
}

interface Word {
  readonly name: string;
  readonly description: string;
  /** Whether a value follows, which is completed as a file is. */
  readonly takesValue?: boolean;
}

/** What a script is made from. */
interface Completions {
  readonly places: readonly Place[];
  /** All flags after which a value follows, in both spellings. */
  readonly valueFlags: readonly string[];
}

const SHELLS = ['bash', 'zsh', 'fish'] as const;
/** A shell for which there is a script. */
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
  const completions = { places: placesOf(program, []), valueFlags: [...new Set(valueFlagsOf(program))] };
  return { bash, zsh, fish }[shell](program.name(), completions);
}

function placesOf(command: Command, path: readonly string[]): Place[] {
  const help = command.createHelp();
  const words = [
    ...help.visibleCommands(command).map((each) => ({ name: each.name(), description: each.description() })),
    ...command.registeredArguments.flatMap(({ argChoices, description }) =>
      (argChoices ?? []).map((name) => ({ name, description })),
    ),
    ...help.visibleOptions(command).map((option) => ({
      name: (option.long ?? option.short)!,
      description: option.description,
      takesValue: takesValue(option),
    })),
  ];
  return [{ path, words }, ...command.commands.flatMap((each) => placesOf(each, [...path, each.name()]))];
}

const takesValue = ({ required, optional }: Option): boolean => required || optional;

const valueFlagsOf = (command: Command): string[] => [
  ...command.options
    .filter(takesValue)
    .flatMap(({ short, long }) => [short, long].filter((flag) => flag !== undefined)),
  ...command.commands.flatMap(valueFlagsOf),
];

const single = (text: string): string => text.replaceAll("'", '’');

/** The branches of a `case` over the commands so far. */
const cases = (places: readonly Place[], line: (place: Place) => string): string =>
  places.map((place) => `    '${place.path.join(' ')}') ${line(place)} ;;`).join('\n');

/** The paths of all commands, quoted. */
const pathsOf = (places: readonly Place[]): readonly string[] =>
  places.filter(({ path }) => path.length > 0).map(({ path }) => `'${path.join(' ')}'`);

/** What bash and zsh do with each word before the cursor: flags, their values and arguments are no part of the path. */
const walk = ({ places, valueFlags }: Completions, path: string): string =>
  `    if [[ -n $value ]]; then
      [[ $word == '=' ]] || value=''
      continue
    fi
    case "$word" in
      ${valueFlags.length === 0 ? "''" : valueFlags.join('|')}) value=1; continue ;;
    esac
    case "\${${path}:+$${path} }$word" in
      ${pathsOf(places).join('|')}) ${path}="\${${path}:+$${path} }$word" ;;
    esac`;

function bash(name: string, completions: Completions): string {
  return `_${name}() {
  local path='' word value='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
${walk(completions, 'path')}
  done
  COMPREPLY=()
  [[ -z $value ]] || return 0
  local words=''
  case "$path" in
${cases(completions.places, ({ words }) => `words='${words.map((word) => word.name).join(' ')}'`)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _${name} ${name}
`;
}

function zsh(name: string, completions: Completions): string {
  const described = ({ words }: Place): string =>
    words.map((word) => `'${word.name}:${single(word.description).replaceAll(':', '\\:')}'`).join(' ');
  return `#compdef ${name}
_${name}() {
  local -a found
  local path_='' word value=''
  for word in \${words[2,CURRENT-1]}; do
${walk(completions, 'path_')}
  done
  if [[ -n $value ]]; then
    _files
    return
  fi
  case "$path_" in
${cases(completions.places, (place) => `found=(${described(place)})`)}
  esac
  _describe '${name}' found || _files
}
if [[ \${funcstack[1]} == _${name} ]]; then
  _${name} "$@"
else
  compdef _${name} ${name}
fi
`;
}

function fish(name: string, { places, valueFlags }: Completions): string {
  const lines = places.flatMap(({ path, words }) =>
    words.map(({ name: word, description, takesValue: value }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}${value === true ? ' -r' : ''}` : `-a ${word}`;
      return `complete -c ${name} -n "test (__${name}_path) = '${path.join(' ')}'" ${what} -d '${single(description)}'`;
    }),
  );
  return `function __${name}_path
  set -l path ''
  set -l value ''
  for word in (commandline -opc)[2..-1]
    if test -n "$value"
      set value ''
      continue
    end
    if contains -- "$word" ${valueFlags.join(' ')}
      set value 1
      continue
    end
    set -l next (string trim -- "$path $word")
    if contains -- "$next" ${pathsOf(places).join(' ')}
      set path $next
    end
  end
  echo $path
end
${lines.join('\n')}
`;
}
