#compdef tapit
# zsh completion for tapit; load it after compinit with: source <(tapit completion zsh)
_tapit() {
    local -a offers
    offers=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    offers=("${(@)offers:#}")
    if (( ${#offers} == 0 )); then
        _files
        return
    fi
    # A key waits for its value, so no space follows it.
    compadd -S '' -- "${(@M)offers:#*=}"
    compadd -- "${(@)offers:#*=}"
}
compdef _tapit tapit
