import os

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, rmdir

required_conan_version = ">=2.0"


class FalproxyConan(ConanFile):
    name = "falproxy"
    version = "0.1.0"
    license = "MIT"
    description = "Makes fal.ai's models look like OpenAI's APIs"
    topics = ("fal.ai", "openai", "images")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {
        "shared": [True, False],
        "with_http": [True, False],
        "with_png": [True, False],
        "with_sqlite": [True, False],
        "with_testing": [True, False],
    }
    default_options = {
        "shared": False,
        "with_http": True,
        "with_png": False,
        "with_sqlite": False,
        "with_testing": False,
        # Only with this does fmt have the target that is compiled in.
        "fmt/*:header_only": True,
    }

    # The recipe is in packaging/conan of the sources that it builds.
    def export_sources(self):
        top = os.path.join(self.recipe_folder, "..", "..")
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "libfalproxy/*"):
            copy(self, pattern, src=top, dst=self.export_sources_folder)

    def validate(self):
        check_min_cppstd(self, 20)

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        # Both are compiled in, and no public header shows them.
        self.requires("fmt/[>=9 <12]", visible=False)
        self.requires("nlohmann_json/[>=3.11 <4]", visible=False)
        if self.options.with_http:
            self.requires("openssl/[>=3 <4]")
        if self.options.with_png:
            self.requires("libpng/[>=1.6 <2]")
        if self.options.with_sqlite:
            self.requires("sqlite3/[>=3.37 <4]")

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["FALPROXY_HTTP"] = bool(self.options.with_http)
        toolchain.cache_variables["FALPROXY_PNG"] = bool(self.options.with_png)
        toolchain.cache_variables["FALPROXY_SQLITE"] = bool(self.options.with_sqlite)
        toolchain.cache_variables["FALPROXY_TESTING"] = bool(self.options.with_testing)
        toolchain.cache_variables["FALPROXY_INSTALL"] = True
        for part in ("PROGRAMS", "DEMO", "EXAMPLES", "TESTS"):
            toolchain.cache_variables[f"FALPROXY_{part}"] = False
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))
        CMake(self).install()
        # Conan writes what CMake and pkg-config read.
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))
        rmdir(self, os.path.join(self.package_folder, "share"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "falproxy")
        self._part("falproxy", "falproxy", [])
        if self.options.with_http:
            self._part("http", "falproxy_http", ["falproxy", "openssl::openssl"])
            if self.settings.os in ("Linux", "FreeBSD"):
                self.cpp_info.components["http"].system_libs = ["pthread"]
        if self.options.with_png:
            self._part("png", "falproxy_png", ["falproxy", "libpng::libpng"])
        if self.options.with_sqlite:
            self._part("sqlite", "falproxy_sqlite", ["falproxy", "sqlite3::sqlite3"])
            if self.settings.os in ("Linux", "FreeBSD"):
                self.cpp_info.components["sqlite"].system_libs = ["pthread"]
        if self.options.with_testing:
            self._part("testing", "falproxy_testing", ["falproxy"])

    def _part(self, name, library, requires):
        part = self.cpp_info.components[name]
        part.libs = [library]
        part.requires = requires
        part.set_property("cmake_target_name", f"falproxy::{name}")
        part.set_property("pkg_config_name", library.replace("_", "-"))
