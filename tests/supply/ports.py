"""The vcpkg port and the Conan recipes are well formed, of this version, and have the parts and options that CMake knows.

Neither tool is run: it would fetch itself and what it builds. Usage: ports.py SOURCES
"""
import ast
import json
import pathlib
import re
import sys

top = pathlib.Path(sys.argv[1])
faults = []


def same(what, is_, should_be):
    if is_ != should_be:
        faults.append(f"{what}: {is_}, but CMake has {should_be}")


cmake = (top / "CMakeLists.txt").read_text()
version = re.search(r"^project\(falproxy VERSION (\S+)", cmake, re.M)[1]
description = re.search(r'^  DESCRIPTION "(.*)"\)', cmake, re.M)[1]
options = set(re.findall(r"^option\((FALPROXY_\w+)", cmake, re.M))
config = (top / "cmake/falproxyConfig.cmake.in").read_text()
parts = set(re.findall(r'if\("(\w+)" IN_LIST falproxy_FIND_COMPONENTS', config))

port = json.loads((top / "packaging/vcpkg/vcpkg.json").read_text())
portfile = (top / "packaging/vcpkg/portfile.cmake").read_text()
same("version-semver of vcpkg.json", port["version-semver"], version)
same("description of vcpkg.json", port["description"], description)
same("features of vcpkg.json", set(port["features"]), parts)
same("features of portfile.cmake", set(re.findall(r"^    (\w+) FALPROXY_", portfile, re.M)), parts)

for path in (top / "packaging/conan").rglob("*.py"):
    compile(path.read_text(), str(path), "exec")
text = (top / "packaging/conan/conanfile.py").read_text()
recipe = {}
for statement in next(node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)).body:
    if isinstance(statement, ast.Assign):
        recipe[statement.targets[0].id] = ast.literal_eval(statement.value)
same("version of conanfile.py", recipe["version"], version)
same("description of conanfile.py", recipe["description"], description)
same("options of conanfile.py", set(recipe["options"]), {"shared"} | {f"with_{part}" for part in parts})
same("default_options of conanfile.py", {name for name in recipe["default_options"] if ":" not in name}, set(recipe["options"]))

# What each of them tells CMake; the recipe has the names of four in a loop.
loop = re.search(r"for part in \((.*?)\):", text)[1]
by_conan = set(re.findall(r'"(FALPROXY_\w+)"', text)) | {f"FALPROXY_{part}" for part in ast.literal_eval(f"({loop})")}
by_port = set(re.findall(r"FALPROXY_(?!SOURCE)\w+", portfile))
same("what portfile.cmake sets", by_port - options, set())
same("what conanfile.py sets", by_conan, by_port)

print("\n".join(faults) or f"the port and the recipe are of {version}, with {', '.join(sorted(parts))}")
sys.exit(1 if faults else 0)
