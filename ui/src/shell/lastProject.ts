const KEY = 'adaptive.project';

/** The project that was open last, else the first of those there are. */
export function lastProject(projects: string[]): string | undefined {
  const last = localStorage.getItem(KEY);
  return last && projects.includes(last) ? last : (projects.find((key) => key === 'default') ?? projects[0]);
}

export function rememberProject(project: string) {
  localStorage.setItem(KEY, project);
}
