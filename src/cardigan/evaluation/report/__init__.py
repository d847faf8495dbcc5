"""What people see of an evaluation: one self-contained HTML page, drawn and worded here.

numbers, scale     how a value is written; where it lies between a trivial generator and real data
words, glossary    the summary in sentences; what each metric means
markup, style.css  HTML that escapes by default; its looks, light, dark, narrow and printed
figures, tables    inline SVG; tables that become lists on a narrow screen
page, compared     the report of one evaluation; the comparison of several
"""
