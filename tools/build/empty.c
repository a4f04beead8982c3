/* Stands in for the sources of a library that has none yet: ISO C forbids an empty translation unit. */
typedef int jq_empty_translation_unit;
