# Completion of jqctl for bash. Made by `jqctl completion bash`.
_jqctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local noun='' verb='' words='' word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ -z $noun ]]; then
            [[ ' task flow queue blob cache limit worker dead breaker schedule events journal server token completion ' == *" $word "* ]] && noun=$word
        elif [[ -z $verb && $word != -* ]]; then verb=$word; fi
    done
    case $prev in
        --server) return ;;
        --token-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --config) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --timeout) return ;;
    esac
    case "$noun $verb" in
    ' ') words='task flow queue blob cache limit worker dead breaker schedule events journal server token completion' ;;
    'task ') words='submit ls show logs explain wait cancel retry hold release move rm' ;;
    'flow ') words='submit map ls show wait cancel' ;;
    'queue ') words='ls show pause resume drain purge set' ;;
    'blob ') words='ls put get gc' ;;
    'cache ') words='stat purge' ;;
    'limit ') words='ls set rm' ;;
    'worker ') words='ls show drain' ;;
    'dead ') words='ls show edit replay rm' ;;
    'breaker ') words='ls show trip reset' ;;
    'schedule ') words='ls show set rm pause resume run next' ;;
    'events ') words='follow past' ;;
    'journal ') words='verify dump stat state export replay repair' ;;
    'server ') words='status backup wait' ;;
    'token ') words='new' ;;
    'completion ') words='bash zsh fish' ;;
    'task submit')
        words='--payload --raw --from-jsonl --queue --priority --need --want --group --key --unique --unique-for --delay --eta --expires --retry --soft-limit --hard-limit --result-ttl --after --on --header --param --input --output --no-cache --wait'
        case $prev in
        --payload) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --from-jsonl) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --queue) return ;;
        --priority) mapfile -t COMPREPLY < <(compgen -W 'urgent high normal low background' -- "$cur"); return ;;
        --need) return ;;
        --want) return ;;
        --group) return ;;
        --key) return ;;
        --unique) mapfile -t COMPREPLY < <(compgen -W 'none while_queued until_done throttle debounce' -- "$cur"); return ;;
        --unique-for) return ;;
        --delay) return ;;
        --eta) return ;;
        --expires) return ;;
        --retry) return ;;
        --soft-limit) return ;;
        --hard-limit) return ;;
        --result-ttl) return ;;
        --after) return ;;
        --on) mapfile -t COMPREPLY < <(compgen -W 'succeeded finished failed' -- "$cur"); return ;;
        --header) return ;;
        --param) return ;;
        --input) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --output) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        esac ;;
    'task ls')
        words='--queue --handler --state --where --limit --after'
        case $prev in
        --queue) return ;;
        --handler) return ;;
        --state) mapfile -t COMPREPLY < <(compgen -W 'waiting blocked scheduled held ready running cancelling succeeded dead cancelled expired' -- "$cur"); return ;;
        --where) return ;;
        --limit) return ;;
        --after) return ;;
        esac ;;
    'task show')
        words=''
        case $prev in
        esac ;;
    'task logs')
        words='--follow'
        case $prev in
        esac ;;
    'task explain')
        words=''
        case $prev in
        esac ;;
    'task wait')
        words='--result'
        case $prev in
        esac ;;
    'task cancel')
        words='--where --dry-run --yes --grace'
        case $prev in
        --where) return ;;
        --grace) return ;;
        esac ;;
    'task retry')
        words='--where --dry-run --yes'
        case $prev in
        --where) return ;;
        esac ;;
    'task hold')
        words='--where --dry-run --yes'
        case $prev in
        --where) return ;;
        esac ;;
    'task release')
        words='--where --dry-run --yes'
        case $prev in
        --where) return ;;
        esac ;;
    'task move')
        words='--to --where --dry-run --yes'
        case $prev in
        --to) return ;;
        --where) return ;;
        esac ;;
    'task rm')
        words='--where --dry-run --yes'
        case $prev in
        --where) return ;;
        esac ;;
    'flow submit')
        words='--wait'
        case $prev in
        esac ;;
    'flow map')
        words='--queue --name --then --on --wait'
        case $prev in
        --queue) return ;;
        --name) return ;;
        --then) return ;;
        --on) mapfile -t COMPREPLY < <(compgen -W 'succeeded finished failed' -- "$cur"); return ;;
        esac ;;
    'flow ls')
        words='--limit'
        case $prev in
        --limit) return ;;
        esac ;;
    'flow show')
        words=''
        case $prev in
        esac ;;
    'flow wait')
        words=''
        case $prev in
        esac ;;
    'flow cancel')
        words='--grace'
        case $prev in
        --grace) return ;;
        esac ;;
    'queue ls')
        words=''
        case $prev in
        esac ;;
    'queue show')
        words=''
        case $prev in
        esac ;;
    'queue pause')
        words='--until --new'
        case $prev in
        --until) return ;;
        esac ;;
    'queue resume')
        words=''
        case $prev in
        esac ;;
    'queue drain')
        words='--undo --new'
        case $prev in
        esac ;;
    'queue purge')
        words='--dry-run --yes'
        case $prev in
        esac ;;
    'queue set')
        words='--weight --depth-max --bytes-max --policy'
        case $prev in
        --weight) return ;;
        --depth-max) return ;;
        --bytes-max) return ;;
        --policy) mapfile -t COMPREPLY < <(compgen -W 'reject shed_lowest block configured' -- "$cur"); return ;;
        esac ;;
    'blob ls')
        words=''
        case $prev in
        esac ;;
    'blob put')
        words=''
        case $prev in
        esac ;;
    'blob get')
        words=''
        case $prev in
        esac ;;
    'blob gc')
        words=''
        case $prev in
        esac ;;
    'cache stat')
        words=''
        case $prev in
        esac ;;
    'cache purge')
        words=''
        case $prev in
        esac ;;
    'limit ls')
        words=''
        case $prev in
        esac ;;
    'limit set')
        words='--concurrency --rate --burst'
        case $prev in
        --concurrency) return ;;
        --rate) return ;;
        --burst) return ;;
        esac ;;
    'limit rm')
        words=''
        case $prev in
        esac ;;
    'worker ls')
        words=''
        case $prev in
        esac ;;
    'worker show')
        words=''
        case $prev in
        esac ;;
    'worker drain')
        words='--undo'
        case $prev in
        esac ;;
    'dead ls')
        words='--where --queue --handler --limit --after'
        case $prev in
        --where) return ;;
        --queue) return ;;
        --handler) return ;;
        --limit) return ;;
        --after) return ;;
        esac ;;
    'dead show')
        words=''
        case $prev in
        esac ;;
    'dead edit')
        words='--payload --raw --header --queue --handler --priority --need --want --retry --soft-limit --hard-limit --result-ttl'
        case $prev in
        --payload) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --header) return ;;
        --queue) return ;;
        --handler) return ;;
        --priority) mapfile -t COMPREPLY < <(compgen -W 'urgent high normal low background' -- "$cur"); return ;;
        --need) return ;;
        --want) return ;;
        --retry) return ;;
        --soft-limit) return ;;
        --hard-limit) return ;;
        --result-ttl) return ;;
        esac ;;
    'dead replay')
        words='--rate --where --dry-run --all --queue --handler --yes'
        case $prev in
        --rate) return ;;
        --where) return ;;
        --queue) return ;;
        --handler) return ;;
        esac ;;
    'dead rm')
        words='--where --dry-run --all --queue --handler --yes'
        case $prev in
        --where) return ;;
        --queue) return ;;
        --handler) return ;;
        esac ;;
    'breaker ls')
        words='--not-closed'
        case $prev in
        esac ;;
    'breaker show')
        words=''
        case $prev in
        esac ;;
    'breaker trip')
        words='--for'
        case $prev in
        --for) return ;;
        esac ;;
    'breaker reset')
        words=''
        case $prev in
        esac ;;
    'schedule ls')
        words=''
        case $prev in
        esac ;;
    'schedule show')
        words=''
        case $prev in
        esac ;;
    'schedule set')
        words='--zone --catch-up --overlap --jitter --paused --payload --raw --param --input --output --queue --priority --need --want --group --delay --retry --soft-limit --hard-limit --result-ttl --no-cache --header'
        case $prev in
        --zone) return ;;
        --catch-up) mapfile -t COMPREPLY < <(compgen -W 'none last all' -- "$cur"); return ;;
        --overlap) mapfile -t COMPREPLY < <(compgen -W 'allow skip' -- "$cur"); return ;;
        --jitter) return ;;
        --payload) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --param) return ;;
        --input) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --output) return ;;
        --queue) return ;;
        --priority) mapfile -t COMPREPLY < <(compgen -W 'urgent high normal low background' -- "$cur"); return ;;
        --need) return ;;
        --want) return ;;
        --group) return ;;
        --delay) return ;;
        --retry) return ;;
        --soft-limit) return ;;
        --hard-limit) return ;;
        --result-ttl) return ;;
        --header) return ;;
        esac ;;
    'schedule rm')
        words=''
        case $prev in
        esac ;;
    'schedule pause')
        words=''
        case $prev in
        esac ;;
    'schedule resume')
        words=''
        case $prev in
        esac ;;
    'schedule run')
        words=''
        case $prev in
        esac ;;
    'schedule next')
        words='--zone --count --from'
        case $prev in
        --zone) return ;;
        --count) return ;;
        --from) return ;;
        esac ;;
    'events follow')
        words='--where --after --limit'
        case $prev in
        --where) return ;;
        --after) return ;;
        --limit) return ;;
        esac ;;
    'events past')
        words='--where --since --limit --archive'
        case $prev in
        --where) return ;;
        --since) return ;;
        --limit) return ;;
        --archive) return ;;
        esac ;;
    'journal verify')
        words='--archive'
        case $prev in
        --archive) return ;;
        esac ;;
    'journal dump')
        words='--from --type --task --limit --archive'
        case $prev in
        --from) return ;;
        --type) return ;;
        --task) return ;;
        --limit) return ;;
        --archive) return ;;
        esac ;;
    'journal stat')
        words='--archive'
        case $prev in
        --archive) return ;;
        esac ;;
    'journal state')
        words='--at --archive'
        case $prev in
        --at) return ;;
        --archive) return ;;
        esac ;;
    'journal export')
        words='--tasks --where --from --type --task --limit --archive'
        case $prev in
        --where) return ;;
        --from) return ;;
        --type) return ;;
        --task) return ;;
        --limit) return ;;
        --archive) return ;;
        esac ;;
    'journal replay')
        words='--where --dry-run --rate --queue --again --unfinished --limit --archive'
        case $prev in
        --where) return ;;
        --rate) return ;;
        --queue) return ;;
        --again) return ;;
        --limit) return ;;
        --archive) return ;;
        esac ;;
    'journal repair')
        words='--copy --yes'
        case $prev in
        --copy) return ;;
        esac ;;
    'server status')
        words=''
        case $prev in
        esac ;;
    'server backup')
        words=''
        case $prev in
        esac ;;
    'server wait')
        words=''
        case $prev in
        esac ;;
    'token new')
        words='--name --role --queues --handlers'
        case $prev in
        --name) return ;;
        --role) mapfile -t COMPREPLY < <(compgen -W 'observer client worker admin' -- "$cur"); return ;;
        --queues) return ;;
        --handlers) return ;;
        esac ;;
    'completion bash')
        words=''
        case $prev in
        esac ;;
    'completion zsh')
        words=''
        case $prev in
        esac ;;
    'completion fish')
        words=''
        case $prev in
        esac ;;
    esac
    [[ $cur == -* || -n $verb ]] && words+=' --server --token-file --config --timeout --json --help --version'
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _jqctl jqctl
