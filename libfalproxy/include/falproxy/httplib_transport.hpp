// httplib_transport.hpp: the former name of http_transport.hpp, until every caller has moved.
#pragma once

#include "falproxy/http_transport.hpp"

namespace falproxy {

using HttplibTransport = HttpTransport;

}  // namespace falproxy
