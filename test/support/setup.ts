/** Runs in each worker before each test file. */
import { tidyAfterFile } from "./finish.ts";

tidyAfterFile();
