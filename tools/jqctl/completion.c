/* completion.c - scripts that complete jqctl's words in bash, zsh and fish, made of the table of commands.
 *
 * tools/completion/ holds what this prints; a test compares.
 */
#include <stdio.h>

#include "tools/jqctl/cli.h"

/* ---- lists of words ----------------------------------------------------------------------------------------------------- */

static void append_nouns(struct jq_buf *buf) {
    for (size_t i = 0; i < jqctl_nouns_count; i++)
        jq_buf_append_format(buf, "%s%s", i ? " " : "", jqctl_nouns[i].name);
}

static void append_verbs(struct jq_buf *buf, const char *noun) {
    const char *blank = "";
    for (size_t i = 0; i < jqctl_commands_count; i++) {
        if (strcmp(jqctl_commands[i].noun, noun) == 0) {
            jq_buf_append_format(buf, "%s%s", blank, jqctl_commands[i].verb);
            blank = " ";
        }
    }
}

static void append_options(struct jq_buf *buf, const struct jqctl_option *options, size_t count) {
    for (size_t i = 0; i < count; i++)
        jq_buf_append_format(buf, "%s--%s", i ? " " : "", options[i].name);
}

static bool takes_file(const struct jqctl_option *option) {
    return option->value && strstr(option->value, "FILE");
}

/* Text within single quotes of a shell. */
static void append_quoted(struct jq_buf *buf, const char *text) {
    for (; *text; text++) {
        if (*text == '\'')
            jq_buf_append_format(buf, "'\\''");
        else
            jq_buf_append_u8(buf, (uint8_t)*text);
    }
}

/* ---- bash: also what zsh loads through bashcompinit --------------------------------------------------------------------- */

/* A case of $prev for each option whose values are known. */
static void bash_values(struct jq_buf *buf, const struct jqctl_option *options, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (options[i].words)
            jq_buf_append_format(buf,
                                 "        --%s) mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\"); return ;;\n",
                                 options[i].name, options[i].words);
        else if (takes_file(&options[i]))
            jq_buf_append_format(buf, "        --%s) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n",
                                 options[i].name);
        else if (options[i].value)
            jq_buf_append_format(buf, "        --%s) return ;;\n", options[i].name);
    }
}

static void bash_command(struct jq_buf *buf, const struct jqctl_command *command) {
    jq_buf_append_format(buf, "    '%s %s')\n", command->noun, command->verb);
    jq_buf_append_format(buf, "        words='");
    append_options(buf, command->options, command->option_count);
    jq_buf_append_format(buf, "'\n        case $prev in\n");
    bash_values(buf, command->options, command->option_count);
    jq_buf_append_format(buf, "        esac ;;\n");
}

static void bash(struct jq_buf *buf) {
    jq_buf_append_format(buf, "# Completion of jqctl for bash. Made by `jqctl completion bash`.\n"
                              "_jqctl() {\n"
                              "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                              "    local noun='' verb='' words='' word\n"
                              "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
                              "        if [[ -z $noun ]]; then\n"
                              "            [[ ' ");
    append_nouns(buf);
    jq_buf_append_format(buf, " ' == *\" $word \"* ]] && noun=$word\n"
                              "        elif [[ -z $verb && $word != -* ]]; then verb=$word; fi\n"
                              "    done\n"
                              "    case $prev in\n");
    bash_values(buf, jqctl_options, jqctl_options_count);
    jq_buf_append_format(buf, "    esac\n    case \"$noun $verb\" in\n    ' ') words='");
    append_nouns(buf);
    jq_buf_append_format(buf, "' ;;\n");
    for (size_t i = 0; i < jqctl_nouns_count; i++) {
        jq_buf_append_format(buf, "    '%s ') words='", jqctl_nouns[i].name);
        append_verbs(buf, jqctl_nouns[i].name);
        jq_buf_append_format(buf, "' ;;\n");
    }
    for (size_t i = 0; i < jqctl_commands_count; i++)
        bash_command(buf, &jqctl_commands[i]);
    jq_buf_append_format(buf, "    esac\n    [[ $cur == -* || -n $verb ]] && words+=' ");
    append_options(buf, jqctl_options, jqctl_options_count);
    jq_buf_append_format(buf, "'\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n"
                              "complete -o default -F _jqctl jqctl\n");
}

/* ---- zsh ---------------------------------------------------------------------------------------------------------------- */

/* What _arguments and _values read as their own has to be escaped. */
static void zsh_text(struct jq_buf *buf, const char *text) {
    for (; *text; text++) {
        if (strchr("[]:\\", *text))
            jq_buf_append_u8(buf, '\\');
        if (*text == '\'')
            jq_buf_append_format(buf, "'\\''");
        else
            jq_buf_append_u8(buf, (uint8_t)*text);
    }
}

static void zsh_options(struct jq_buf *buf, const struct jqctl_option *options, size_t count) {
    for (size_t i = 0; i < count; i++) {
        jq_buf_append_format(buf, "            '*--%s%s[", options[i].name, options[i].value ? "=" : "");
        zsh_text(buf, options[i].help);
        jq_buf_append_format(buf, "]");
        if (options[i].value) {
            jq_buf_append_format(buf, ":");
            zsh_text(buf, options[i].value);
            jq_buf_append_format(buf, ":");
        }
        if (options[i].words)
            jq_buf_append_format(buf, "(%s)", options[i].words);
        else if (takes_file(&options[i]))
            jq_buf_append_format(buf, "_files");
        jq_buf_append_format(buf, "' \\\n");
    }
}

static void zsh_verbs(struct jq_buf *buf, const char *noun) {
    jq_buf_append_format(buf, "    (%s) verbs=(", noun);
    for (size_t i = 0; i < jqctl_commands_count; i++) {
        if (strcmp(jqctl_commands[i].noun, noun) == 0) {
            jq_buf_append_format(buf, "\n        '%s:", jqctl_commands[i].verb);
            append_quoted(buf, jqctl_commands[i].help);
            jq_buf_append_format(buf, "'");
        }
    }
    jq_buf_append_format(buf, ") ;;\n");
}

static void zsh(struct jq_buf *buf) {
    jq_buf_append_format(buf, "#compdef jqctl\n# Completion of jqctl for zsh. Made by `jqctl completion zsh`.\n"
                              "_jqctl() {\n    local -a nouns verbs\n    nouns=(");
    for (size_t i = 0; i < jqctl_nouns_count; i++) {
        jq_buf_append_format(buf, "\n        '%s:", jqctl_nouns[i].name);
        append_quoted(buf, jqctl_nouns[i].help);
        jq_buf_append_format(buf, "'");
    }
    jq_buf_append_format(buf, ")\n    if (( CURRENT == 2 )); then _describe noun nouns; return; fi\n"
                              "    case $words[2] in\n");
    for (size_t i = 0; i < jqctl_nouns_count; i++)
        zsh_verbs(buf, jqctl_nouns[i].name);
    jq_buf_append_format(buf, "    esac\n    if (( CURRENT == 3 )); then _describe verb verbs; return; fi\n"
                              "    case \"$words[2] $words[3]\" in\n");
    for (size_t i = 0; i < jqctl_commands_count; i++) {
        const struct jqctl_command *command = &jqctl_commands[i];
        jq_buf_append_format(buf, "    ('%s %s') _arguments \\\n", command->noun, command->verb);
        zsh_options(buf, command->options, command->option_count);
        zsh_options(buf, jqctl_options, jqctl_options_count);
        jq_buf_append_format(buf, "            '*:operand:_files' ;;\n");
    }
    jq_buf_append_format(buf, "    esac\n}\n_jqctl \"$@\"\n");
}

/* ---- fish --------------------------------------------------------------------------------------------------------------- */

static void fish_option(struct jq_buf *buf, const char *condition, const struct jqctl_option *option) {
    jq_buf_append_format(buf, "complete -c jqctl %s -l %s", condition, option->name);
    if (option->letter)
        jq_buf_append_format(buf, " -s %c", option->letter);
    if (takes_file(option))
        jq_buf_append_format(buf, " -r -F");
    else if (option->value)
        jq_buf_append_format(buf, " -x");
    if (option->words)
        jq_buf_append_format(buf, " -a '%s'", option->words);
    jq_buf_append_format(buf, " -d '");
    append_quoted(buf, option->help);
    jq_buf_append_format(buf, "'\n");
}

static void fish_command(struct jq_buf *buf, const struct jqctl_command *command) {
    char condition[160];
    jq_buf_append_format(buf, "complete -c jqctl -n '__jqctl_at 1; and __jqctl_is %s' -a %s -d '", command->noun,
                         command->verb);
    append_quoted(buf, command->help);
    jq_buf_append_format(buf, "'\n");
    snprintf(condition, sizeof(condition), "-n '__jqctl_is %s %s'", command->noun, command->verb);
    for (size_t i = 0; i < command->option_count; i++)
        fish_option(buf, condition, &command->options[i]);
}

static void fish(struct jq_buf *buf) {
    jq_buf_append_format(buf, "# Completion of jqctl for fish. Made by `jqctl completion fish`.\n"
                              "function __jqctl_words\n"
                              "    commandline -opc | string match -v -- '-*' | tail -n +2\n"
                              "end\n"
                              "function __jqctl_at\n"
                              "    test (count (__jqctl_words)) -eq $argv[1]\n"
                              "end\n"
                              "function __jqctl_is\n"
                              "    set -l words (__jqctl_words)\n"
                              "    set -l count (count $argv)\n"
                              "    test (count $words) -ge $count; and test \"$words[1..$count]\" = \"$argv\"\n"
                              "end\n"
                              "complete -c jqctl -f -n '__jqctl_at 0'\n"
                              "complete -c jqctl -f -n '__jqctl_at 1'\n");
    for (size_t i = 0; i < jqctl_nouns_count; i++) {
        jq_buf_append_format(buf, "complete -c jqctl -n '__jqctl_at 0' -a %s -d '", jqctl_nouns[i].name);
        append_quoted(buf, jqctl_nouns[i].help);
        jq_buf_append_format(buf, "'\n");
    }
    for (size_t i = 0; i < jqctl_commands_count; i++)
        fish_command(buf, &jqctl_commands[i]);
    for (size_t i = 0; i < jqctl_options_count; i++)
        fish_option(buf, "", &jqctl_options[i]);
}

bool jqctl_completion(const char *shell, struct jq_buf *buf) {
    if (strcmp(shell, "bash") == 0)
        bash(buf);
    else if (strcmp(shell, "zsh") == 0)
        zsh(buf);
    else if (strcmp(shell, "fish") == 0)
        fish(buf);
    else
        return false;
    return true;
}
