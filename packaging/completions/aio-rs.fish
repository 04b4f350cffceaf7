# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_aio_rs_global_optspecs
    string join \n h/help V/version
end

function __fish_aio_rs_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_aio_rs_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_aio_rs_using_subcommand
    set -l cmd (__fish_aio_rs_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c aio-rs -n "__fish_aio_rs_needs_command" -s h -l help -d 'Print help'
complete -c aio-rs -n "__fish_aio_rs_needs_command" -s V -l version -d 'Print version'
complete -c aio-rs -n "__fish_aio_rs_needs_command" -f -a "run" -d 'Run a program on aio-rs'
complete -c aio-rs -n "__fish_aio_rs_needs_command" -f -a "doctor" -d 'Tell what works here, and whether a program can be run on aio-rs'
complete -c aio-rs -n "__fish_aio_rs_needs_command" -f -a "bench" -d 'Measure aio-rs beside the system\'s libaio, on a disk of yours'
complete -c aio-rs -n "__fish_aio_rs_needs_command" -f -a "top" -d 'Watch the processes that run on aio-rs and count'
complete -c aio-rs -n "__fish_aio_rs_needs_command" -f -a "stats" -d 'Show what a process has counted so far'
complete -c aio-rs -n "__fish_aio_rs_needs_command" -f -a "probe" -d 'Load a library and make a context: what doctor asks a child of its own'
complete -c aio-rs -n "__fish_aio_rs_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand run" -l engine -d 'Who does the I/O that io_submit does not do itself' -r -f -a "auto\t'io_uring where it is allowed, threads elsewhere'
uring\t'io_uring'
threads\t'A pool of threads'"
complete -c aio-rs -n "__fish_aio_rs_using_subcommand run" -l max-nr -d 'How many events all contexts of the process may have in all; "kernel": as many as fs.aio-max-nr says' -r
complete -c aio-rs -n "__fish_aio_rs_using_subcommand run" -l stats -d 'Count, for aio-rs top and aio-rs stats, and tell at exit: on standard error, or in FILE' -r -F
complete -c aio-rs -n "__fish_aio_rs_using_subcommand run" -l log -d 'What to log' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t'Every call too'"
complete -c aio-rs -n "__fish_aio_rs_using_subcommand run" -l log-file -d 'Log to this file, not to standard error' -r -F
complete -c aio-rs -n "__fish_aio_rs_using_subcommand run" -l library -d 'The library to preload [default: the one beside this command, or the installed one]' -r -F
complete -c aio-rs -n "__fish_aio_rs_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand doctor" -l library -d 'The library to ask [default: the one beside this command, or the installed one]' -r -F
complete -c aio-rs -n "__fish_aio_rs_using_subcommand doctor" -l json -d 'Print JSON'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand bench" -l seconds -d 'How many seconds it may take, about' -r
complete -c aio-rs -n "__fish_aio_rs_using_subcommand bench" -l svg -d 'Draw the ratios into this file, as SVG' -r -F
complete -c aio-rs -n "__fish_aio_rs_using_subcommand bench" -l library -d 'The library to measure [default: the one beside this command, or the installed one]' -r -F
complete -c aio-rs -n "__fish_aio_rs_using_subcommand bench" -l system -d 'The system\'s libaio [default: the one that the loader finds]' -r -F
complete -c aio-rs -n "__fish_aio_rs_using_subcommand bench" -l write -d 'Write to the file, too: back to where it is, what it holds. Nobody else may have it open'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand bench" -l json -d 'Print JSON'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand bench" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand top" -l interval -d 'Seconds between two looks' -r
complete -c aio-rs -n "__fish_aio_rs_using_subcommand top" -l count -d 'End after so many looks' -r
complete -c aio-rs -n "__fish_aio_rs_using_subcommand top" -l json -d 'Print a line of JSON for each process and look'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand stats" -l format -r -f -a "text\t''
json\t''
prometheus\t'The text format that Prometheus reads'"
complete -c aio-rs -n "__fish_aio_rs_using_subcommand stats" -l json -d 'The same as --format json'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand probe" -s h -l help -d 'Print help'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand help; and not __fish_seen_subcommand_from run doctor bench top stats probe help" -f -a "run" -d 'Run a program on aio-rs'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand help; and not __fish_seen_subcommand_from run doctor bench top stats probe help" -f -a "doctor" -d 'Tell what works here, and whether a program can be run on aio-rs'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand help; and not __fish_seen_subcommand_from run doctor bench top stats probe help" -f -a "bench" -d 'Measure aio-rs beside the system\'s libaio, on a disk of yours'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand help; and not __fish_seen_subcommand_from run doctor bench top stats probe help" -f -a "top" -d 'Watch the processes that run on aio-rs and count'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand help; and not __fish_seen_subcommand_from run doctor bench top stats probe help" -f -a "stats" -d 'Show what a process has counted so far'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand help; and not __fish_seen_subcommand_from run doctor bench top stats probe help" -f -a "probe" -d 'Load a library and make a context: what doctor asks a child of its own'
complete -c aio-rs -n "__fish_aio_rs_using_subcommand help; and not __fish_seen_subcommand_from run doctor bench top stats probe help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
