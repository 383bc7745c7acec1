import { Avatar, Menu, Text, TextInput, UnstyledButton, VisuallyHidden } from '@mantine/core';
import { IconArchive, IconCheck, IconFolderPlus, IconKey, IconSelector } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { archivedProjectsQuery, projectsQuery } from '../api/queries';
import classes from './ProjectSwitcher.module.css';

/** With more projects than this, one finds them by their names. */
const SEARCHED = 10;
const SHOWN = 50;

interface ProjectSwitcherProps {
  project: string;
  onNewKey?: () => void;
  onNewProject?: () => void;
}

/** Which project everything on the page is about, the way to others, and to a key for it. */
export function ProjectSwitcher({ project, onNewKey, onNewProject }: ProjectSwitcherProps) {
  const navigate = useNavigate();
  const [opened, setOpened] = useState(false);
  const { data: projects = [], isSuccess } = useQuery(projectsQuery);
  const isArchived = isSuccess && !projects.some(({ key }) => key === project);
  const { data: archived = [] } = useQuery({ ...archivedProjectsQuery, enabled: opened || isArchived });
  const name = [...projects, ...archived].find((found) => found.key === project)?.name ?? project;
  const [text, setText] = useState('');
  const matching = projects.filter((found) =>
    `${found.name} ${found.key}`.toLowerCase().includes(text.trim().toLowerCase()),
  );
  const subtitle = name === project ? 'Project' : project;
  return (
    <Menu width={248} position="bottom-start" shadow="md" opened={opened} onChange={setOpened}>
      <Menu.Target>
        <UnstyledButton className={classes.button}>
          <Avatar size={30} radius="md" color="indigo" variant="filled" name={name} aria-hidden />
          <div className={classes.names}>
            <Text size="sm" fw={600} lh={1.25} className="truncate">
              {name}
            </Text>
            <Text size="xs" c="dimmed" lh={1.25} className="truncate">
              {subtitle}
            </Text>
          </div>
          <VisuallyHidden>, switch project</VisuallyHidden>
          <IconSelector size={16} stroke={1.7} />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <div className={classes.projects}>
          <Menu.Label>Projects</Menu.Label>
          {projects.length > SEARCHED && (
            <TextInput
              size="xs"
              m={4}
              aria-label="Find a project"
              placeholder="Find a project"
              value={text}
              onChange={(event) => setText(event.currentTarget.value)}
            />
          )}
          {matching.slice(0, SHOWN).map((found) => (
            <Menu.Item
              key={found.key}
              onClick={() => navigate({ to: '/projects/$project/chat', params: { project: found.key } })}
              rightSection={found.key === project ? <IconCheck size={16} /> : null}
            >
              <div className="truncate">{found.name}</div>
            </Menu.Item>
          ))}
          {matching.length > SHOWN && (
            <Text size="xs" c="dimmed" px="sm" py={4}>
              {matching.length - SHOWN} more: write a part of the name
            </Text>
          )}
          {archived.length > 0 && <Menu.Label>Archived</Menu.Label>}
          {archived.map((found) => (
            <Menu.Item
              key={found.key}
              leftSection={<IconArchive size={16} />}
              onClick={() => navigate({ to: '/projects/$project/settings', params: { project: found.key } })}
              rightSection={found.key === project ? <IconCheck size={16} /> : null}
            >
              <div className="truncate">{found.name}</div>
            </Menu.Item>
          ))}
        </div>
        {(onNewProject || onNewKey) && <Menu.Divider />}
        {onNewProject && (
          <Menu.Item leftSection={<IconFolderPlus size={16} />} onClick={onNewProject}>
            Create project
          </Menu.Item>
        )}
        {onNewKey && (
          <Menu.Item leftSection={<IconKey size={16} />} onClick={onNewKey}>
            Generate new API key
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
