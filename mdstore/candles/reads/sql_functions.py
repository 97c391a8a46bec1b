"""Which of DuckDB's functions a query may call: a list of what is allowed, with the reason for what is not.

A list of what is forbidden let `enable_logging` through, which writes files and ends the process. So a name
that is in neither table, such as a new function of a new DuckDB, is refused until somebody has decided;
`tests/attack/test_sql_functions.py` compares the tables with the catalogue of the DuckDB that is installed.
Names are those of `duckdb_functions()`, in lower case; what is allowed reads its arguments and nothing else.
"""

from __future__ import annotations

__all__ = ["ALLOWED", "NAMING", "PREFIXES", "REFUSED", "UNDECIDED", "why_refused"]

NAMING = ("query_table", "histogram", "histogram_values")
"""Functions of tables whose first argument names a table."""

TABLES = """
    duckdb_functions duckdb_keywords generate_series json_each json_tree pg_timezone_names range repeat
    repeat_row unnest icu_calendar_names
"""
OPERATORS = """
    !__postfix !~~ !~~* % & && * ** + - ->> / // <-> << <=> <@ >> @ @> ^ ^@ | || ~ ~~ ~~* ~~~
    add subtract multiply divide mod xor ilike_escape like_escape not_ilike_escape not_like_escape
"""
NUMBERS = """
    abs acos acosh asin asinh atan atan2 atanh bin bit_count bit_length bit_position bitstring cbrt ceil
    ceiling cos cosh cot degrees even exp factorial fdiv floor fmod from_base64 from_binary from_hex gamma
    gcd get_bit greatest greatest_common_divisor hash hex isfinite isinf isnan lcm least
    least_common_multiple lgamma ln log log10 log2 nextafter nullif pi pow power radians random round
    round_even roundbankers set_bit sign signbit sin sinh sqrt tan tanh to_base to_base64 to_binary to_hex
    trunc unbin unhex equi_width_bins is_histogram_other_bin
"""
TEXTS = """
    array_to_string array_to_string_comma_default ascii bar base64 char_length character_length chr concat
    concat_ws contains damerau_levenshtein decode editdist3 encode ends_with format format_bytes
    formatreadabledecimalsize formatreadablesize hamming icu_sort_key instr jaccard jaro_similarity
    jaro_winkler_similarity lcase left left_grapheme len length length_grapheme levenshtein lower lpad ltrim
    md5 md5_number md5_number_lower md5_number_upper mismatches nfc_normalize octet_length ord parse_dirname
    parse_dirpath parse_filename parse_formatted_bytes parse_path pg_size_pretty position prefix printf
    regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace
    regexp_split_to_array regexp_split_to_table repeat replace reverse right right_grapheme rpad rtrim sha1
    sha256 split split_part starts_with str_split str_split_regex string_split string_split_regex
    string_to_array strip_accents strlen strpos substr substring substring_grapheme suffix translate trim
    ucase unicode upper url_decode url_encode
"""
TIMES = """
    age ago century current_date current_localtime current_localtimestamp date_add date_diff date_part
    date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear
    days_in_month decade epoch epoch_ms epoch_ns epoch_us era get_current_time get_current_timestamp hour
    isodow isoyear julian last_day make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns
    make_timestamptz microsecond millennium millisecond minute month monthname nanosecond
    normalized_interval now quarter second strftime strptime time_bucket timezone timezone_hour
    timezone_minute to_centuries to_days to_decades to_hours to_microseconds to_millennia to_milliseconds
    to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today transaction_timestamp
    try_strptime week weekday weekofyear year yearweek
"""
NESTED = """
    aggregate apply array_aggr array_aggregate array_append array_apply array_cat array_concat
    array_contains array_cosine_distance array_cosine_similarity array_cross_product array_distance
    array_distinct array_dot_product array_extract array_filter array_grade_up array_has array_has_all
    array_has_any array_indexof array_inner_product array_intersect array_length
    array_negative_dot_product array_negative_inner_product array_pop_back array_pop_front array_position
    array_prepend array_push_back array_push_front array_reduce array_resize array_reverse
    array_reverse_sort array_select array_slice array_sort array_transform array_unique array_value
    array_where array_zip cardinality element_at enum_code enum_first enum_last enum_range
    enum_range_boundary filter flatten generate_series generate_subscripts grade_up list_aggr list_aggregate
    list_any_value list_append list_apply list_approx_count_distinct list_avg list_bit_and list_bit_or
    list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains list_cosine_distance
    list_cosine_similarity list_count list_distance list_distinct list_dot_product list_element list_entropy
    list_extract list_filter list_first list_grade_up list_has list_has_all list_has_any list_histogram
    list_indexof list_inner_product list_intersect list_kurtosis list_kurtosis_pop list_last list_mad
    list_max list_median list_min list_mode list_negative_dot_product list_negative_inner_product list_pack
    list_position list_prepend list_product list_reduce list_resize list_reverse list_reverse_sort
    list_select list_sem list_skewness list_slice list_sort list_stddev_pop list_stddev_samp list_string_agg
    list_sum list_transform list_unique list_value list_var_pop list_var_samp list_where list_zip map
    map_concat map_contains map_contains_entry map_contains_value map_entries map_extract map_extract_value
    map_from_entries map_keys map_values range reduce remap_struct row struct_concat struct_contains
    struct_extract struct_extract_at struct_has struct_indexof struct_insert struct_keys struct_pack
    struct_position struct_update struct_values switch union_extract union_tag union_value unpivot_list
    variant_extract variant_typeof
"""
JSON = """
    array_to_json from_json from_json_strict json json_array json_array_length json_contains json_exists
    json_extract json_extract_path json_extract_path_text json_extract_string json_group_array
    json_group_object json_group_structure json_keys json_merge_patch json_object json_pretty json_quote
    json_structure json_transform json_transform_strict json_type json_valid json_value row_to_json to_json
"""
AGGREGATES = """
    any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null
    arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and bit_or
    bit_xor bitstring_agg bool_and bool_or corr count count_if count_star countif covar_pop covar_samp
    entropy favg first fsum geomean geometric_mean group_concat histogram histogram_exact kahan_sum kurtosis
    kurtosis_pop last list listagg mad max max_by mean median min min_by mode product quantile quantile_cont
    quantile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy
    regr_syy reservoir_quantile sem skewness stddev stddev_pop stddev_samp string_agg sum sum_no_overflow
    sumkahan var_pop var_samp variance wavg weighted_avg
"""
WINDOWS = """
    cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense
    row_number
"""
VALUES = """
    alias can_cast_implicitly cast_to_type current_catalog current_database current_role current_schema
    current_user error gen_random_uuid get_type pg_typeof session_user typeof user uuid
    uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 version
"""
ALLOWED = frozenset(
    " ".join(
        (TABLES, OPERATORS, NUMBERS, TEXTS, TIMES, NESTED, JSON, AGGREGATES, WINDOWS, VALUES, *NAMING)
    ).split()
)

REFUSED = {
    "reads or lists files": """
        glob parquet_bloom_probe parquet_file_metadata parquet_full_metadata parquet_kv_metadata
        parquet_metadata parquet_scan parquet_schema read_blob read_csv read_csv_auto read_duckdb read_json
        read_json_auto read_json_objects read_json_objects_auto read_ndjson read_ndjson_auto
        read_ndjson_objects read_parquet read_text sniff_csv
    """,
    "writes logs or files": """
        checkpoint disable_logging disable_profiling enable_logging enable_profiling force_checkpoint
        truncate_duckdb_logs write_log
    """,
    "reads memory or calls Python": "arrow_scan arrow_scan_dumb pandas_scan python_map_function seq_scan",
    "runs or plans SQL out of a text": """
        json_deserialize_sql json_execute_serialized_sql json_serialize_plan json_serialize_sql query
    """,
    "tells of DuckDB's settings, state or machine": """
        current_connection_id current_query current_query_id current_schemas current_setting
        current_transaction_id duckdb_approx_database_count duckdb_columns duckdb_connection_count
        duckdb_constraints duckdb_coordinate_systems duckdb_databases duckdb_dependencies duckdb_extensions
        duckdb_external_file_cache duckdb_indexes duckdb_log_contexts duckdb_logs duckdb_logs_parsed
        duckdb_memory duckdb_optimizers duckdb_prepared_statements duckdb_profiling_settings duckdb_schemas
        duckdb_secret_types duckdb_secrets duckdb_sequences duckdb_settings duckdb_table_sample
        duckdb_tables duckdb_temporary_files duckdb_types duckdb_variables duckdb_views get_block_size
        getvariable in_search_path parse_duckdb_log_message pragma_collations pragma_database_size
        pragma_metadata_info pragma_platform pragma_show pragma_storage_info pragma_table_info
        pragma_user_agent pragma_version stats txid_current vector_type which_secret
    """,
    "keeps a state": "currval nextval setseed",
    "only waits": "pg_sleep sleep_ms",
    "is DuckDB's own, for its plans and tests": """
        combine constant_or_null create_sort_key finalize make_type replace_type summary test_all_types
        test_vector_types timetz_byte_comparable variant_bytes_to_variant variant_normalize
        variant_to_parquet_variant
    """,
    "is of a type that no column here has": """
        st_asbinary st_astext st_aswkb st_aswkt st_crs st_geomfromwkb st_intersects_extent st_setcrs
    """,
    "is of PostgreSQL's catalogue, which is not here": """
        col_description format_pg_type format_type has_any_column_privilege has_column_privilege
        has_database_privilege has_foreign_data_wrapper_privilege has_function_privilege
        has_language_privilege has_schema_privilege has_sequence_privilege has_server_privilege
        has_table_privilege has_tablespace_privilege inet_client_addr inet_client_port inet_server_addr
        inet_server_port map_to_pg_oid obj_description pg_collation_is_visible pg_conf_load_time
        pg_conversion_is_visible pg_function_is_visible pg_get_constraintdef pg_get_expr pg_get_viewdef
        pg_has_role pg_is_other_temp_schema pg_my_temp_schema pg_opclass_is_visible pg_operator_is_visible
        pg_opfamily_is_visible pg_postmaster_start_time pg_table_is_visible pg_ts_config_is_visible
        pg_ts_dict_is_visible pg_ts_parser_is_visible pg_ts_template_is_visible pg_type_is_visible
        shobj_description
    """,
}
PREFIXES = {
    "__internal_": "is DuckDB's own, for its plans and tests",
    "icu_collate_": "is written COLLATE",
}
"""What a name begins with that is refused, too."""

UNDECIDED = "is not known to only read its arguments"
REASONS = {name: reason for reason, names in REFUSED.items() for name in names.split()}


def why_refused(name: str) -> str | None:
    """Return why a function must not be called, in words that follow "it"; None where it may be.

    >>> why_refused("max"), why_refused("sleep_ms"), why_refused("brand_new")
    (None, 'only waits', 'is not known to only read its arguments')
    """
    lower = name.lower()
    if lower in ALLOWED:
        return None
    for prefix, reason in PREFIXES.items():
        if lower.startswith(prefix):
            return reason
    return REASONS.get(lower, UNDECIDED)
