# fish completion for tapit; load it with: tapit completion fish | source
complete -c tapit -f -a '(tapit __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
complete -c tapit -n '__fish_seen_subcommand_from import' -F
