// getaddrinfo() as a test wants it: preloaded into falproxy. The file that FAILING_NAMES names says
// what becomes of the next lookup of a name below .test: "again", "unknown", "hang", or anything
// else for 127.0.0.1.
#include <dlfcn.h>
#include <netdb.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  const auto real = reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  const std::string host = name == nullptr ? "" : name;
  if (!host.ends_with(".test")) return real(name, service, hints, found);
  const char* file = std::getenv("FAILING_NAMES");
  std::string word;
  if (file != nullptr) std::ifstream(file) >> word;
  if (word == "again") return EAI_AGAIN;
  if (word == "unknown") return EAI_NONAME;
  while (word == "hang") ::pause();
  return real("127.0.0.1", service, hints, found);
}
