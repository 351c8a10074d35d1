#!/usr/bin/env python3
"""Compares the binary interface of the library with tests/api/abi.txt: prototypes, sizes of structs, offsets of their fields, values
of enums (64-bit Linux on x86 and ARM), soversion. Also checks that the libraries define all functions in the headers and no other
global names.

check_abi.py --update|--check ROOT --soversion N --shared FILE [--static FILE] --nm PROGRAM --cc PROGRAM [ARGUMENT...]
"""
import argparse
import difflib
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

HEADERS = ("qasr.h", "qasr_tools.h")

COMPATIBLE = """
Programs built with the last release keep working: the conventions in qasr.h allow new functions, and new values and fields at the end of
enums and structs. Raise the minor version (meson.build, include/qasr/version.h), note the change in CHANGELOG.md and
update abi.txt:
"""
INCOMPATIBLE = """
Programs built with the last release may break: part of the interface is gone or has moved. Keep it if you can: append fields and enum
values, add a function beside the old one. If you cannot: once per release, raise soversion in src/meson.build and rename the package
libqasrN in packaging/debian, tools/make_deb.sh, tools/test_deb.sh and README.md; note the change in CHANGELOG.md and update abi.txt:
"""


def read_headers(folder):
    """The declarations of all headers without comments, directives and C++ parts."""
    text = ""
    for name in HEADERS:
        source = (folder / name).read_text(encoding="utf-8")
        source = re.sub(r"/\*.*?\*/", " ", source, flags=re.S)
        source = re.sub(r"#ifdef __cplusplus\n.*?#(else|endif)", "", source, flags=re.S)
        text += re.sub(r"^\s*#(.*\\\n)*.*$", "", source, flags=re.M)
    return " ".join(text.split())


def prototype(result, name, parameters):
    """The prototype without parameter names, on which no program depends."""
    types = [re.sub(r"(?<=\W)\w+$", "", p.strip()).strip() if " " in p.strip() else p for p in parameters.split(",")]
    return f"{result.strip()} {name}({', '.join(types)})"


def declared_functions(text):
    """Maps functions to their prototypes."""
    return {name: prototype(result, name, parameters)
            for result, name, parameters in re.findall(r"QASR_API ([^;(]+?)(\w+)\(([^)]*)\);", text)}


def declared_callbacks(text):
    return [prototype(result, f"(*{name})", parameters)
            for result, name, parameters in re.findall(r"typedef (\w+) \(\*(\w+)\)\(([^)]*)\);", text)]


def declared_fields(text):
    """Maps structs to their fields in order, as (name, declaration)."""
    structs = {}
    for body, name in re.findall(r"typedef struct \w+ \{([^}]*)\} (\w+);", text):
        structs[name] = []
        for declaration in body.split(";")[:-1]:
            first, *others = declaration.strip().split(",")
            of_type = re.match(r"(.*?)\**\w+(\[\d+\])?$", first).group(1).strip()
            for one in [first[len(of_type):], *others]:
                field, array = re.fullmatch(r"[\s*]*(\w+)((?:\[\d+\])?)", one).groups()
                structs[name].append((field, f"{of_type} {'*' * one.count('*')}{array}".strip()))
    return structs


def declared_constants(text):
    """Maps enums to their constants in order."""
    return {name: [c.split("=")[0].strip() for c in body.split(",")]
            for body, name in re.findall(r"typedef enum \w+ \{([^}]*)\} (\w+);", text)}


def measure(text, include, compiler):
    """Compiles and runs a program that prints sizes, offsets and values."""
    lines = []
    for struct, fields in declared_fields(text).items():
        lines.append(f'printf("size of struct %s: %zu\\n", "{struct}", sizeof({struct}));')
        lines += [f'printf("%s.%s at %zu: %s\\n", "{struct}", "{f}", offsetof({struct}, {f}), "{t}");' for f, t in fields]
    for enum, constants in declared_constants(text).items():
        lines += [f'printf("%s %s = %d\\n", "{enum}", "{c}", (int){c});' for c in constants]
    program = "#include <qasr/qasr_tools.h>\n#include <stdio.h>\nint main(void)\n{\n" + "\n".join(lines) + "\nreturn 0;\n}\n"
    with tempfile.TemporaryDirectory() as work:
        source, binary = pathlib.Path(work, "abi.c"), pathlib.Path(work, "abi")
        source.write_text(program)
        subprocess.run([*compiler, f"-I{include}", str(source), "-o", str(binary)], check=True)
        return subprocess.run([str(binary)], check=True, capture_output=True, text=True).stdout.splitlines()


def defined_names(nm, options, library):
    out = subprocess.run([nm, *options, library], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines() if len(line.split()) >= 3}


def check_names(functions, args):
    """Errors in the names that the libraries define."""
    errors = []
    for library, options in ((args.shared, ["-D", "--defined-only"]), (args.static, ["-g", "--defined-only"])):
        if library:
            names = defined_names(args.nm, options, library) - {"_init", "_fini"}
            errors += [f"{library} defines '{n}', which no public header declares" for n in sorted(names - functions)]
            errors += [f"{library} lacks '{n}', which a public header declares" for n in sorted(functions - names)]
    return errors


def is_compatible(old, new):
    """True if nothing has been removed or changed, except that structs may have grown."""
    sizes = {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in new if line.startswith("size of")}
    for line in old:
        name, _, value = line.rpartition(" ")
        grown = line.startswith("size of") and sizes.get(name, 0) > int(value) and "qasr_error" not in name
        if line not in new and not grown:
            return False
    return True


def main():
    parser = argparse.ArgumentParser()
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true")
    mode.add_argument("--update", action="store_true")
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--soversion", required=True)
    parser.add_argument("--shared", required=True)
    parser.add_argument("--static")
    parser.add_argument("--nm", required=True)
    parser.add_argument("--cc", required=True, nargs=argparse.REMAINDER)
    args = parser.parse_args()

    text = read_headers(args.root / "include" / "qasr")
    functions = declared_functions(text)
    errors = check_names(set(functions), args)
    if errors:
        sys.exit("\n".join(errors))

    listed = args.root / "tests" / "api" / "abi.txt"
    new = [f"soversion {args.soversion}", *sorted(functions.values(), key=lambda f: re.search(r"\w+\(", f).group()),
           *declared_callbacks(text), *measure(text, args.root / "include", args.cc)]
    if args.update:
        listed.write_text("\n".join(new) + "\n", encoding="utf-8")
        return
    old = listed.read_text(encoding="utf-8").splitlines()
    if new == old:
        print(f"{len(functions)} functions and {sum(line.startswith('size of') for line in new)} structs match abi.txt")
        return
    print("\n".join(difflib.unified_diff(old, new, "tests/api/abi.txt", "this tree", lineterm="", n=0)))
    update = shlex.join("--update" if word == "--check" else word for word in sys.argv)
    print((COMPATIBLE if is_compatible(old[1:], new[1:]) else INCOMPATIBLE) + update)
    sys.exit(1)


if __name__ == "__main__":
    main()
