# bash completion for tapit; load it with: source <(tapit completion bash)
_tapit() {
    local line="${COMP_LINE:0:COMP_POINT}" current="" glued="" offer
    local -a words=() offers=()
    [[ -n $line ]] || line="${COMP_WORDS[*]:0:COMP_CWORD+1}"
    # The line is split at blanks alone, because bash would also split name=value at the equals sign.
    read -ra words <<< "$line"
    case $line in
        *[[:space:]]) ;;
        *)
            current="${words[${#words[@]} - 1]}"
            unset "words[${#words[@]} - 1]"
            ;;
    esac
    while IFS= read -r offer; do
        offers+=("$offer")
    done < <("${words[0]:-tapit}" __complete "${words[@]:1}" "$current" 2>/dev/null)
    # bash inserts only what follows the last separator.
    [[ $COMP_WORDBREAKS == *=* ]] && glued="${current%"${current##*[=:]}"}"
    COMPREPLY=("${offers[@]#"$glued"}")
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _tapit tapit
