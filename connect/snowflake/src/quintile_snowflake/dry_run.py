"""The SQL of a load, printed instead of executed."""

from quintile_snowflake import statements
from quintile_snowflake.errors import FileRefused
from quintile_snowflake.load import Options, batches, joined_bounds
from quintile_snowflake.source import Footer, RecordFile, Source, read_footer
from quintile_snowflake.statements import LoadedFile


def print_dry_run(source: Source, options: Options) -> int:
    """Prints what a load would do if none of the files were loaded yet."""
    table = options.table
    files = source.files(options.since)
    print(f"-- {len(files)} files; those that {table.files} names are left out when it runs")
    print(f"{statements.create_files(table)};")
    if not options.external_stage:
        print(f"{statements.create_stage()};")
    code = 0
    for number, batch in enumerate(batches(files, options.batch_files, options.batch_bytes), 1):
        footers = []
        for file in batch:
            try:
                footers.append((file, read_footer(source, file)))
            except FileRefused as error:
                print(f"-- not loaded: {error}")
                code = 1
        if footers:
            _print_batch(options, f"DRY_{number}", footers)
    return code


def _print_batch(options: Options, run: str, footers: list[tuple[RecordFile, Footer]]) -> None:
    table = options.table
    columns = list(dict.fromkeys(name.upper() for _, footer in footers for name in footer.columns))
    bounds = joined_bounds([footer for _, footer in footers])
    done = [LoadedFile(file.name, file.size, footer.rows) for file, footer in footers]
    if options.external_stage:
        copy = [statements.copy_external(table, run, options.external_stage, [file.name for file, _ in footers])]
    else:
        copy = [
            statements.put("FOLDER_OF_THE_BATCH", run),
            statements.copy_uploaded(table, run),
        ]
    for statement in (
        statements.create_incoming(table, run),
        *copy,
        statements.count_incoming(table, run),
        statements.merge(table, run, columns, bounds),
        statements.count_duplicates(table, bounds),
        statements.insert_files(table, done),
        statements.drop(table.incoming(run)),
    ):
        print(f"{statement};")
