import { Tabs } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type ComponentType, useEffect, useRef } from 'react';
import { Page } from '../components/Page';
import pageClasses from '../components/Page.module.css';
import { SETTINGS_TABS, type SettingsTab } from '../shell/settingsTabs';
import { useMe, useProject } from '../shell/useProject';
import { GradersTab } from './GradersTab';
import { KeysTab } from './KeysTab';
import { ProjectTab } from './ProjectTab';
import { RolesTab } from './RolesTab';
import { SharesTab } from './SharesTab';
import { TeamsTab } from './TeamsTab';
import { UsersTab } from './UsersTab';

const ROUTE = '/projects/$project/settings';

const COMPONENTS: Record<SettingsTab['value'], ComponentType<{ project: string }>> = {
  project: ProjectTab,
  keys: KeysTab,
  graders: GradersTab,
  shares: SharesTab,
  users: UsersTab,
  teams: TeamsTab,
  roles: RolesTab,
};

/** The project, who may use it, and the people of the server: as much of it as the key may see. */
export function SettingsPage() {
  const project = useProject();
  const me = useMe();
  const navigate = useNavigate({ from: ROUTE });
  const granted = new Set([...me.permissions, ...(me.projects[project] ?? [])]);
  const tabs = SETTINGS_TABS.filter(({ permission }) => !permission || granted.has(permission));
  const asked = useSearch({ from: ROUTE }).tab;
  const shown = tabs.find(({ value }) => value === asked) ?? tabs[0]!;
  const Shown = COMPONENTS[shown.value];
  const place = tabs.indexOf(shown);
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const show = () => {
      const row = list.current!;
      const tab = row.children[place] as HTMLElement;
      row.scrollLeft = tab.offsetLeft - (row.clientWidth - tab.clientWidth) / 2;
    };
    show();
    window.addEventListener('resize', show);
    return () => window.removeEventListener('resize', show);
  }, [place]);
  return (
    <Page title="Settings">
      <Tabs
        value={shown.value}
        onChange={(tab) => void navigate({ search: { tab: tab! } })}
        keepMounted={false}
      >
        <Tabs.List ref={list} mb="md" className={pageClasses.tabs}>
          {tabs.map(({ value, label }) => (
            <Tabs.Tab key={value} value={value}>
              {label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value={shown.value}>
          <Shown project={project} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
